"""Operators that make a graph, look for patterns in it, and make a table of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.syntax import graphs, tree
from gapless.query.kql.syntax.parse_lists import ListParser

#: How many edges an edge of variable length may stand for.
LENGTH_MAX = 16
_CYCLES = ("unique_edges", "none", "all")


def _make_graph(p: ListParser, at: int) -> tree.Operator:
    p.options()
    source = tree.Name(p.at, p.name())
    for mark in "-->":
        p.expect(mark)
    target = tree.Name(p.at, p.name())
    nodes: list[graphs.NodeTable] = []
    id_column = None
    if p.is_word("with_node_id"):
        id_column = p.options("with_node_id").get("with_node_id")
    elif p.take_word("with"):
        nodes = p.separated(partial(_node_table, p))
    if not p.at_operator_end():
        raise unsupported("this part of make-graph", p.at)
    return graphs.MakeGraph(at, source, target, nodes, id_column)


def _node_table(p: ListParser) -> graphs.NodeTable:
    at, rows = p.at, p.postfix(p.primary())
    p.expect_word("on")
    return graphs.NodeTable(at, rows, tree.Name(p.at, p.name()))


def _graph_match(p: ListParser, at: int) -> tree.Operator:
    cycles = p.options("cycles").get("cycles", "unique_edges")
    if cycles not in _CYCLES:
        raise KqlError(f"cycles are one of {', '.join(_CYCLES)}, not {cycles}", at)
    return _pattern(p, at, cycles, None)


def _shortest_paths(p: ListParser, at: int) -> tree.Operator:
    output = p.options("output").get("output", "any")
    if output not in ("any", "all"):
        raise KqlError(f"the output is any or all, not {output}", at)
    found = _pattern(p, at, "unique_edges", output)
    if len(found.edges) != 1 or found.edges[0].length is None:
        raise unsupported("graph-shortest-paths of anything but one edge of variable length", at)
    return found


def _pattern(p: ListParser, at: int, cycles: str, shortest: str | None) -> graphs.GraphMatch:
    nodes, edges = [_node(p)], []
    while p.is_mark("-", "<"):
        edges.append(_edge(p))
        nodes.append(_node(p))
    if p.is_mark(","):
        raise unsupported("a graph pattern of several parts", p.at)
    predicate = p.expression() if p.take_word("where") else None
    p.expect_word("project")
    return graphs.GraphMatch(at, nodes, edges, predicate, p.named_list(), cycles, shortest)


def _node(p: ListParser) -> str | None:
    p.expect("(")
    name = None if p.is_mark(")") else p.name()
    p.expect(")")
    return name


def _edge(p: ListParser) -> graphs.EdgePattern:
    """``-[name*1..3]->`` and the like, ``-->``, ``<--``, ``--``."""
    at = p.at
    is_left = p.take_mark("<")
    p.expect("-")
    name, length = None, None
    if p.take_mark("["):
        name = None if p.is_mark("]", "*") else p.name()
        if p.take_mark("*"):
            least = _count(p)
            length = (least, _count(p) if p.take_mark("..") else least)
            if not least <= length[1] <= LENGTH_MAX:
                raise unsupported(f"a path of more than {LENGTH_MAX} edges", at)
        p.expect("]")
    p.expect("-")
    is_right = not is_left and p.take_mark(">")
    return graphs.EdgePattern(at, name, "left" if is_left else "right" if is_right else "any", length)


def _count(p: ListParser) -> int:
    if p.token.kind != "long":
        raise p.surprise("a number of edges")
    return int(p.take().value)


def _mark_components(p: ListParser, at: int) -> tree.Operator:
    options = p.options("kind", "with_component_id")
    if options.get("kind", "weak") != "weak":
        raise unsupported(f"graph-mark-components kind={options['kind']}", at)
    return graphs.MarkComponents(at, options.get("with_component_id", "ComponentId"))


def _to_table(p: ListParser, at: int) -> tree.Operator:
    kind = p.name()
    wanted = {"nodes": ["with_node_id"], "edges": ["with_source_id", "with_target_id"]}
    if kind not in wanted:
        raise KqlError(f"graph-to-table makes nodes or edges, not {kind}", at)
    options = p.options(*wanted[kind])
    if not p.at_operator_end():
        raise unsupported("graph-to-table of several tables", p.at)
    return graphs.GraphToTable(at, kind, [options.get(name) for name in wanted[kind]])


READERS: dict[str, Callable[[ListParser, int], tree.Operator]] = {
    "make-graph": _make_graph,
    "graph-match": _graph_match,
    "graph-shortest-paths": _shortest_paths,
    "graph-mark-components": _mark_components,
    "graph-to-table": _to_table,
}
