"""graph-match and graph-shortest-paths: the places of a pattern in a graph, as rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

from gapless.query.kql.binding.bind_graph import NODE_ID, NUMBER, SOURCE, TARGET, Graph, graph_of, hidden
from gapless.query.kql.binding.bind_operators import compute, numbered
from gapless.query.kql.binding.bind_scalar import bind, bind_predicate
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.graph_paths import EDGES, Asked, PathBuilder, answer, length
from gapless.query.kql.binding.names import free_name, implied_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import Concat, Filter, Join, OneRow, Relation, Rows, Window
from gapless.query.kql.relational.scalars import BOOL, LONG, Column, Order, Ref, Scalar
from gapless.query.kql.syntax import graphs, tree

_OF_PATHS = ("map", "any", "all")


def match(node: graphs.GraphMatch, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A row for each place where the pattern is in the graph."""
    return _Match(node, graph_of(rows, node.at), scope, tabular).result()


class _Match:
    def __init__(self, node: graphs.GraphMatch, graph: Graph, scope: Scope, tabular: Tabular) -> None:
        self.node, self.graph, self.scope, self.tabular = node, graph, scope, tabular
        if node.cycles == "none" and len(node.edges) != 1:
            raise unsupported("cycles=none in a pattern that has not one edge", node.at)
        self.paths = {each.name for each in node.edges if each.length is not None and each.name}
        #: What is asked of paths, by their names.
        self.asked: dict[str, list[Asked]] = {name: [] for name in self.paths}
        self.predicate = self._prepared(node.predicate) if node.predicate is not None else None
        self.columns = [replace(each, value=self._prepared(each.value)) for each in node.columns]
        self.sides: dict[str, Rows] = {}
        self.answers: list[Column] = []
        self.ids: dict[str, Ref] = {}
        #: For each edge of the pattern the number of the graph's edge, or the list of them.
        self.numbers: list[tuple[Ref, bool]] = []
        self.shortest: list[Order] = []

    # What the text says -----------------------------------------------------------------------------------

    def _prepared(self, node: Any) -> Any:
        """An expression in which names of columns stand for what is asked of paths, and for ids."""
        if isinstance(node, tree.Call) and node.name in _OF_PATHS and node.arguments:
            return self._of_path(node)
        if isinstance(node, tree.Call) and node.name == "node_id" and len(node.arguments) == 1:
            return tree.Member(node.at, node.arguments[0].value, NODE_ID)
        return _changed(node, self._prepared)

    def _of_path(self, node: tree.Call) -> tree.Name:
        if len(node.arguments) != 2:
            raise KqlError(f"{node.name}() takes a path and an expression", node.at)
        path, value = (argument.value for argument in node.arguments)
        of_nodes = isinstance(path, tree.Call) and path.name == "inner_nodes" and len(path.arguments) == 1
        if of_nodes:
            assert isinstance(path, tree.Call)
            path = path.arguments[0].value
        if not isinstance(path, tree.Name) or path.name not in self.paths:
            raise KqlError(f"{node.name}() needs an edge of variable length", node.at)
        if of_nodes:
            value = _own_ids(value)
        asked = self.asked[path.name]
        asked.append(Asked(node.name, value, of_nodes))
        return tree.Name(node.at, f"\0{path.name}.{len(asked) - 1}")

    # Where the pattern is ---------------------------------------------------------------------------------

    def result(self) -> Rows:
        """The rows that match, with the columns of the projection."""
        relation, here = self._begin()
        for place, edge in enumerate(self.node.edges):
            relation, here = self._along(relation, here, edge, self.node.nodes[place + 1])
        relation = self._different_edges(relation)
        relation = self._with_nodes(relation)
        rows = Rows(relation, self.answers)
        if self.predicate is not None:
            rows = rows.changed(
                Filter(rows.relation, bind_predicate(self.predicate, self._over(rows), self.tabular))
            )
        if self.node.shortest is not None:
            rows = self._shortest_alone(rows)
        return self._projected(rows)

    def _over(self, rows: Rows) -> Scope:
        return replace(self.scope.over(rows), sides=self.sides)

    def _begin(self) -> tuple[Relation, Ref | None]:
        """Before the first edge: the nodes, if there is none."""
        if self.node.edges:
            return OneRow(), None
        read = self.tabular.context.read(self.graph.nodes)
        id = hidden(read, NODE_ID).ref()
        self._name_node(read.relation, self.node.nodes[0], id)
        return read.relation, id

    def _along(
        self, relation: Relation, here: Ref | None, edge: graphs.EdgePattern, to: str | None
    ) -> tuple[Relation, Ref]:
        """The rows with one more edge of the pattern, and the id of the node that it leads to."""
        step, first, last = self._path(edge) if edge.length is not None else self._edge(edge)
        if here is None:
            relation = self._name_node(step, self.node.nodes[0], first)
        else:
            relation = Join(relation, step, "INNER", apply("$1 = $2", (here, first), BOOL))
        return self._name_node(relation, to, last), last

    def _name_node(self, relation: Relation, name: str | None, id: Ref) -> Relation:
        """A node's name, which may have one already: then both are the same node."""
        if name is None:
            return relation
        known = self.ids.setdefault(name, id)
        return relation if known is id else Filter(relation, apply("$1 = $2", (known, id), BOOL))

    def _edge(self, edge: graphs.EdgePattern) -> tuple[Relation, Ref, Ref]:
        """Single edges: where they begin and end."""
        context = self.tabular.context
        ways = {"right": [(SOURCE, TARGET)], "left": [(TARGET, SOURCE)]}
        parts, sources = [], []
        for turn, (start, end) in enumerate(ways.get(edge.direction, [*ways["right"], *ways["left"]])):
            read = context.read(self.graph.edges)
            ends = [hidden(read, start).ref(), hidden(read, end).ref()]
            once = Filter(read.relation, apply("$1 <> $2", ends, BOOL)) if turn else read.relation
            parts.append(once)
            sources.append([*ends, *(each.ref() for each in read.columns)])
        columns = [(context.new_id(), cell.type) for cell in sources[0]]
        first, last, *own = (Ref(id, kind) for id, kind in columns)
        named = [
            replace(old, id=ref.id)
            for old, ref in zip(context.read(self.graph.edges).columns, own, strict=True)
        ]
        rows = Rows(Concat(list(parts), columns, [list(each) for each in sources]), named)
        if edge.name is not None:
            if edge.name in self.sides:
                raise KqlError(f"the pattern has {edge.name} twice", edge.at)
            self.sides[edge.name] = rows
        self.numbers.append((hidden(rows, NUMBER).ref(), False))
        return rows.relation, first, last

    def _path(self, edge: graphs.EdgePattern) -> tuple[Relation, Ref, Ref]:
        asked = self.asked.get(edge.name or "", [])
        path = PathBuilder(self.graph, edge, asked, self.scope, self.tabular).paths(self.node.cycles)
        rows = Rows(path.relation, [])
        for place, each in enumerate(asked):
            value = answer(each, path.lists[str(place)])
            rows, id = compute(rows, value, self.tabular)
            self.answers.append(Column(f"\0{edge.name}.{place}", id, value.type))
        self.numbers.append((path.lists[EDGES], True))
        self.shortest = [Order(length(path), False, False), Order(path.lists[EDGES], False, False)]
        return rows.relation, path.first, path.last

    def _different_edges(self, relation: Relation) -> Relation:
        """Rows whose edges are all different, unless cycles may have them twice."""
        if self.node.cycles == "all":
            return relation
        for (one, one_is_list), (other, other_is_list) in combinations(self.numbers, 2):
            if one_is_list and other_is_list:
                sql = "NOT list_has_any($1, $2)"
            elif one_is_list or other_is_list:
                sql = "NOT list_contains($1, $2)" if one_is_list else "NOT list_contains($2, $1)"
            else:
                sql = "$1 <> $2"
            relation = Filter(relation, apply(sql, (one, other), BOOL))
        if self.node.cycles == "none" and len(self.ids) == 2:
            relation = Filter(relation, apply("$1 <> $2", list(self.ids.values()), BOOL))
        return relation

    def _with_nodes(self, relation: Relation) -> Relation:
        """The rows beside the nodes whose columns are named."""
        named = {
            each.value.name
            for each in tree.walk([self.predicate, self.columns])
            if isinstance(each, tree.Member) and isinstance(each.value, tree.Name)
        }
        for name, id in self.ids.items():
            if name in self.sides:
                raise KqlError(f"the pattern has {name} as a node and as an edge", self.node.at)
            if name in named:
                read = self.tabular.context.read(self.graph.nodes)
                same = apply("$1 = $2", (id, hidden(read, NODE_ID).ref()), BOOL)
                relation = Join(relation, read.relation, "INNER", same)
                self.sides[name] = read
        return relation

    def _shortest_alone(self, rows: Rows) -> Rows:
        """Of the paths between two nodes the shortest: one, that of the first edges, or all."""
        ends = [self._end(0), self._end(-1)]
        order = self.shortest if self.node.shortest == "any" else self.shortest[:1]
        place = self.tabular.context.new_id()
        ranked = Window(rows.relation, [(place, apply("rank()", (), LONG))], list(ends), order)
        return rows.changed(Filter(ranked, apply("$1 = 1", (Ref(place, LONG),), BOOL)))

    def _end(self, place: int) -> Scalar:
        name = self.node.nodes[place]
        if name is None:
            raise unsupported("graph-shortest-paths from or to a node without a name", self.node.at)
        return self.ids[name]

    def _projected(self, rows: Rows) -> Rows:
        columns: list[Column] = []
        for written, item in zip(self.node.columns, self.columns, strict=True):
            value = bind(item.value, self._over(rows), self.tabular)
            taken = [each.name for each in columns]
            implied = implied_name(written.value) or ""
            name = item.names[0] if item.names else free_name(implied, taken) if implied else numbered(taken)
            if len(item.names) > 1 or name in taken:
                raise KqlError("each column of the projection needs one name of its own", item.at)
            rows, id = compute(rows, value, self.tabular)
            columns.append(Column(name, id, value.type))
        return Rows(rows.relation, columns)


def _changed(node: Any, change: Callable[[Any], Any]) -> Any:
    """A node with its parts changed."""
    if isinstance(node, list):
        return [change(each) for each in node]
    if isinstance(node, tree.Node):
        return replace(node, **{each.name: change(getattr(node, each.name)) for each in fields(node)})
    return node


def _own_ids(node: Any) -> Any:
    """An expression over nodes in which node_id() is their id."""
    if isinstance(node, tree.Call) and node.name == "node_id" and not node.arguments:
        return tree.Name(node.at, NODE_ID)
    return _changed(node, _own_ids)
