"""Graphs: what make-graph gives, the components of one, and tables of its nodes and edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gapless.query.kql.binding.bind_join import perhaps_null
from gapless.query.kql.binding.bind_operators import compute, numbered_rows
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Aggregate,
    Concat,
    Expand,
    Extend,
    Join,
    OneRow,
    Relation,
    Rows,
    Shared,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    STRING,
    Column,
    Constant,
    Order,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import graphs, tree
from gapless.query.kql.values.forms import certain_text, ticks

#: The place of nodes that no edge has: after all others.
_LAST = 1 << 60
#: Names of columns that no text can name: an edge's place, and the ids of its nodes; a node's id.
NUMBER, SOURCE, TARGET, NODE_ID = "\0number", "\0source", "\0target", "\0id"


@dataclass(slots=True, kw_only=True)
class Graph(Rows):
    """A graph, where rows may stand. ``edges`` are the rows with NUMBER, SOURCE and TARGET; ``nodes``
    those with NODE_ID, one for each id."""

    edges: Shared
    nodes: Shared


def graph_of(rows: Rows, at: int) -> Graph:
    """The graph that rows are. Raises KqlError if they are none."""
    if not isinstance(rows, Graph):
        raise KqlError("a graph is needed here: write make-graph before", at)
    return rows


def shown(rows: Rows) -> list[Column]:
    """The columns of edges or nodes that a text can name."""
    return [each for each in rows.columns if not each.name.startswith("\0")]


def hidden(rows: Rows, name: str) -> Column:
    """A column that no text can name."""
    return next(each for each in rows.columns if each.name == name)


def make_graph(node: graphs.MakeGraph, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A graph of edges, and of tables of nodes if there are any."""
    context = tabular.context
    rows = rows.changed()
    columns = list(rows.columns)
    for name, end in ((SOURCE, node.source), (TARGET, node.target)):
        rows, column = _id_column(name, end, rows, scope, tabular)
        columns.append(column)
    if columns[-1].type != columns[-2].type:
        raise KqlError("the ids of sources and targets must be of one type", node.at)
    numbered, number = numbered_rows(rows.relation, rows.order, tabular)
    edges = context.share(Rows(numbered, [*columns, Column(NUMBER, number.id, LONG)]))
    edges.keep = True
    nodes = context.share(_nodes(node, edges, columns[-1].type, scope, tabular))
    nodes.keep = True
    return Graph(OneRow(), [], edges=edges, nodes=nodes)


def _id_column(
    name: str, value: tree.Expression, rows: Rows, scope: Scope, tabular: Tabular
) -> tuple[Rows, Column]:
    bound = certain_text(ticks(bind(value, scope.over(rows), tabular)))
    if bound.type.name == "dynamic":
        raise KqlError(
            "the id of a node cannot be dynamic: convert it, with tostring() for example", value.at
        )
    rows, id = compute(rows, bound, tabular)
    return rows, Column(name, id, bound.type)


def _nodes(node: graphs.MakeGraph, edges: Shared, kind: Type, scope: Scope, tabular: Tabular) -> Rows:
    """A row for each id: that of a table of nodes, or one whose columns are empty."""
    tables = [_node_table(each, kind, scope, tabular) for each in node.nodes]
    new_id = tabular.context.new_id
    ids: list[tuple[Rows, Scalar, Scalar]] = []
    for name in (SOURCE, TARGET):
        read = tabular.context.read(edges)
        ids.append((read, hidden(read, name).ref(), hidden(read, NUMBER).ref()))
    for each in tables:
        again = tabular.context.read(each)
        ids.append((again, hidden(again, NODE_ID).ref(), Constant(_LAST, LONG)))
    every, place, end = new_id(), new_id(), new_id()
    sources = [[id, number, Constant(at, LONG)] for at, (_, id, number) in enumerate(ids)]
    together = Concat(
        [rows.relation for rows, _, _ in ids], [(every, kind), (place, LONG), (end, LONG)], sources
    )
    id, first = new_id(), new_id()
    at = apply("min($1 * 2 + $2)", (Ref(place, LONG), Ref(end, LONG)), LONG)
    found = Rows(Aggregate(together, [(id, Ref(every, kind))], [(first, at)]), [])
    columns = [Column(NODE_ID, id, kind), Column(NUMBER, first, LONG)]
    if node.id_column is not None:
        columns.insert(0, Column(node.id_column, id, kind))
    for each in tables:
        found, more = _joined(found, Ref(id, kind), tabular.context.read(each))
        taken = {column.name for column in columns}
        if clash := [column.name for column in more if column.name in taken]:
            raise unsupported(f"make-graph with two tables that both have a column {clash[0]}", node.at)
        columns.extend(more)
    return found.changed(columns=columns)


def _joined(found: Rows, id: Ref, table: Rows) -> tuple[Rows, list[Column]]:
    """The rows beside those of a table of nodes, and the columns of these."""
    same = apply("$1 IS NOT DISTINCT FROM $2", (id, hidden(table, NODE_ID).ref()), BOOL)
    columns = [perhaps_null(each) for each in shown(table)]
    return found.changed(Join(found.relation, table.relation, "LEFT", same)), columns


def _node_table(node: graphs.NodeTable, kind: Type, scope: Scope, tabular: Tabular) -> Shared:
    """The rows of a table of nodes, one for each id."""
    rows = tabular.rows(node.rows, scope.over(None)).changed()
    rows, key = _id_column(NODE_ID, node.key, rows, scope, tabular)
    if key.type != kind:
        raise KqlError(f"the ids of nodes must be of the type of the edges' ends, {kind.name}", node.at)
    new_id = tabular.context.new_id
    id = new_id()
    firsts: list[tuple[int, Scalar]] = []
    columns = [Column(NODE_ID, id, kind)]
    for each in rows.columns:
        fresh = new_id()
        firsts.append((fresh, apply("first($1)", (each.ref(),), each.type)))
        columns.append(replace(each, id=fresh))
    return tabular.context.share(Rows(Aggregate(rows.relation, [(id, key.ref())], firsts), columns))


def to_table(node: graphs.GraphToTable, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The nodes or the edges of a graph, as rows."""
    graph = graph_of(rows, node.at)
    read = tabular.context.read(graph.nodes if node.kind == "nodes" else graph.edges)
    found = read
    columns: list[Column] = []
    ends = [NODE_ID] if node.kind == "nodes" else [SOURCE, TARGET]
    for name, end in zip(node.id_columns, ends, strict=True):
        if name is None:
            continue
        id = hidden(read, end)
        if id.type != STRING:
            raise unsupported(f"the id of a node of type {id.type.name}", node.at)
        found, hashed = compute(found, apply("hash_xxhash64($1)", (id.ref(),), LONG), tabular)
        columns.append(Column(name, hashed, LONG))
    order = [Order(hidden(read, NUMBER).ref(), False, False)]
    return Rows(found.relation, [*columns, *shown(read)], order)


def mark_components(node: graphs.MarkComponents, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The graph with the number of its component in each node: of all nodes that edges join, in whatever
    direction. Components are numbered from 0 in the order of their first nodes."""
    graph = graph_of(rows, node.at)
    context = tabular.context
    read, edges = context.read(graph.nodes), context.read(graph.edges)
    if any(each.name == node.column for each in shown(read)):
        raise KqlError(f"the nodes have a column {node.column}: give another name", node.at)
    places = _places(read, tabular)
    marked, place, mark = _marked(edges, places, tabular)
    again = context.read(places)
    same_place = apply("$1 = $2", (place, hidden(again, NUMBER).ref()), BOOL)
    by_id = Join(again.relation, marked, "INNER", same_place)
    nodes = context.read(graph.nodes)
    ids = (hidden(nodes, NODE_ID).ref(), hidden(again, NODE_ID).ref())
    joined = Join(nodes.relation, by_id, "INNER", apply("$1 IS NOT DISTINCT FROM $2", ids, BOOL))
    fresh = context.share(Rows(joined, [*nodes.columns, Column(node.column, mark.id, LONG)]))
    fresh.keep = True
    return Graph(OneRow(), [], edges=graph.edges, nodes=fresh)


def _places(nodes: Rows, tabular: Tabular) -> Shared:
    """The ids of nodes, each with its place in the list of them, from 0 on."""
    order = [Order(hidden(nodes, each).ref(), False, False) for each in (NUMBER, NODE_ID)]
    counted, number = numbered_rows(nodes.relation, order, tabular)
    place = tabular.context.new_id()
    relation = Extend(counted, [(place, apply("$1 - 1", (number,), LONG))])
    return tabular.context.share(Rows(relation, [hidden(nodes, NODE_ID), Column(NUMBER, place, LONG)]))


def _marked(edges: Rows, places: Shared, tabular: Tabular) -> tuple[Relation, Ref, Ref]:
    """Each node's place, and the number of its component: rows, and their two columns."""
    context = tabular.context
    relation, pair = edges.relation, []
    for end in (SOURCE, TARGET):
        other = context.read(places)
        same = apply("$1 = $2", (hidden(edges, end).ref(), hidden(other, NODE_ID).ref()), BOOL)
        relation = Join(relation, other.relation, "INNER", same)
        pair.append(hidden(other, NUMBER).ref())
    listed, found, size = context.new_id(), context.new_id(), context.new_id()
    pairs = apply("CAST(coalesce(to_json(list([$1, $2])), '[]') AS VARCHAR)", pair, STRING)
    counted = Aggregate(context.read(places).relation, [], [(size, apply("count(*)", (), LONG))])
    both = Join(Aggregate(relation, [], [(listed, pairs)]), counted, "INNER", Constant(True, BOOL))
    marks = apply("graph_components($1, $2)", (Ref(size, LONG), Ref(listed, STRING)), STRING)
    entry = Ref(context.new_id(), Type("list"))
    items = apply("from_json($1, '[[\"BIGINT\"]]')", (Ref(found, STRING),), Type("list"))
    expanded = Expand(Extend(both, [(found, marks)]), [(entry.id, items)])
    place, mark = Ref(context.new_id(), LONG), Ref(context.new_id(), LONG)
    parts: list[tuple[int, Scalar]] = [
        (each.id, apply(f"list_extract($1, {index})", (entry,), LONG))
        for index, each in ((1, place), (2, mark))
    ]
    return Extend(expanded, parts), place, mark
