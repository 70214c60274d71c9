"""Edges of variable length: the paths of so many edges, with what is asked of their edges and inner nodes.

A path is a row: the ids of its ends, the numbers of its edges, the ids of its nodes, and a list for each
expression that is asked of all its edges, or of its inner nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gapless.query.kql.binding.bind_graph import NODE_ID, NUMBER, SOURCE, TARGET, Graph, hidden
from gapless.query.kql.binding.bind_operators import compute
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.relation import Concat, Filter, Join, Relation, Rows, Shared
from gapless.query.kql.relational.scalars import BOOL, DYNAMIC, LONG, Column, Ref, Scalar, Type
from gapless.query.kql.syntax import graphs, tree
from gapless.query.kql.values.conversions import as_type, to_dynamic

LIST = Type("list")


@dataclass(slots=True)
class Asked:
    """What is asked of a path: a function (map, any, all) of an expression, for its edges or for its inner
    nodes."""

    function: str
    value: tree.Expression
    of_nodes: bool


@dataclass(slots=True)
class Paths:
    """Paths as rows: the ids of the first and the last node, and the lists by name."""

    relation: Relation
    first: Ref
    last: Ref
    lists: dict[str, Ref] = field(default_factory=dict)


EDGES, NODES = "edges", "nodes"


class PathBuilder:
    """Makes the paths of one edge of variable length."""

    def __init__(
        self, graph: Graph, edge: graphs.EdgePattern, asked: Sequence[Asked], scope: Scope, tabular: Tabular
    ) -> None:
        self.graph, self.edge, self.asked = graph, edge, asked
        self.scope, self.tabular = scope, tabular
        self.names = [NODES, EDGES, *(str(place) for place in range(len(asked)))]

    def paths(self, cycles: str) -> Paths:
        """All paths of the pattern's lengths; ``cycles`` as in GraphMatch."""
        assert self.edge.length is not None
        least, most = self.edge.length
        found: list[Paths] = [self._none()] if least == 0 else []
        path: Shared | None = None
        for length in range(1, most + 1):
            made = self._single() if path is None else self._longer(self._read(path), cycles)
            path = self._shared(made)
            if length >= least:
                found.append(self._read(path))
        return self._together(found)

    # Steps ------------------------------------------------------------------------------------------------

    def _ends(self) -> list[tuple[str, str]]:
        right, left = (SOURCE, TARGET), (TARGET, SOURCE)
        return {"right": [right], "left": [left], "any": [right, left]}[self.edge.direction]

    def _step(self) -> tuple[Relation, Ref, Ref, Ref, list[Ref]]:
        """The edges, each in the directions in which it may be gone: where it begins and ends, its number,
        and what is asked of it."""
        context = self.tabular.context
        parts, sources = [], []
        for turn, (start, end) in enumerate(self._ends()):
            rows = context.read(self.graph.edges)
            cells: list[Scalar] = [hidden(rows, each).ref() for each in (start, end, NUMBER)]
            for each in self.asked:
                value = self._item(each, rows) if not each.of_nodes else None
                if value is not None:
                    rows, id = compute(rows, value, self.tabular)
                    cells.append(Ref(id, value.type))
            relation = rows.relation
            if turn:
                # An edge from a node to itself is gone once.
                relation = Filter(relation, apply("$1 <> $2", cells[:2], BOOL))
            parts.append(relation)
            sources.append(cells)
        columns = [(context.new_id(), cell.type) for cell in sources[0]]
        refs = [Ref(id, kind) for id, kind in columns]
        return Concat(parts, columns, sources), refs[0], refs[1], refs[2], refs[3:]

    def _item(self, asked: Asked, rows: Rows) -> Scalar:
        """What is asked of one edge or node, as an item of a list."""
        value = bind(asked.value, self.scope.over(rows), self.tabular)
        if asked.function == "map":
            return apply("coalesce($1, 'null')", (to_dynamic(value),), DYNAMIC)
        if value.type.name not in ("bool", "dynamic"):
            raise KqlError(f"{asked.function}() needs a condition, not {value.type.name}", asked.value.at)
        return apply("coalesce($1, FALSE)", (as_type(value, BOOL),), BOOL)

    def _nothing(self, asked: Asked) -> Scalar:
        return apply(
            "CAST([] AS VARCHAR[])" if asked.function == "map" else "CAST([] AS BOOLEAN[])", (), LIST
        )

    def _none(self) -> Paths:
        """Paths of no edge: each node by itself."""
        rows = self.tabular.context.read(self.graph.nodes)
        id = hidden(rows, NODE_ID).ref()
        lists: dict[str, Scalar] = {
            NODES: apply("[$1]", (id,), LIST),
            EDGES: apply("CAST([] AS BIGINT[])", (), LIST),
        }
        lists |= {str(place): self._nothing(each) for place, each in enumerate(self.asked)}
        return self._computed(rows.relation, id, id, lists)

    def _single(self) -> Paths:
        relation, first, last, number, values = self._step()
        lists: dict[str, Scalar] = {
            NODES: apply("[$1, $2]", (first, last), LIST),
            EDGES: apply("[$1]", (number,), LIST),
        }
        left = iter(values)
        for place, each in enumerate(self.asked):
            lists[str(place)] = self._nothing(each) if each.of_nodes else apply("[$1]", (next(left),), LIST)
        return self._computed(relation, first, last, lists)

    def _longer(self, path: Paths, cycles: str) -> Paths:
        """Paths with one more edge."""
        relation, start, end, number, values = self._step()
        met = apply("$1 = $2", (path.last, start), BOOL)
        if cycles == "none":
            met = apply("$1 AND NOT list_contains($2, $3)", (met, path.lists[NODES], end), BOOL)
        elif cycles == "unique_edges":
            met = apply("$1 AND NOT list_contains($2, $3)", (met, path.lists[EDGES], number), BOOL)
        joined: Relation = Join(path.relation, relation, "INNER", met)
        lists: dict[str, Scalar] = {
            NODES: apply("list_append($1, $2)", (path.lists[NODES], end), LIST),
            EDGES: apply("list_append($1, $2)", (path.lists[EDGES], number), LIST),
        }
        inner: list[Scalar] = []
        if any(each.of_nodes for each in self.asked):
            joined, inner = self._with_node(joined, path.last)
        left, left_inner = iter(values), iter(inner)
        for place, each in enumerate(self.asked):
            item = next(left_inner) if each.of_nodes else next(left)
            lists[str(place)] = apply("list_append($1, $2)", (path.lists[str(place)], item), LIST)
        return self._computed(joined, path.first, end, lists)

    def _with_node(self, relation: Relation, id: Ref) -> tuple[Relation, list[Scalar]]:
        """The rows beside the node of an id, and what is asked of it."""
        rows = self.tabular.context.read(self.graph.nodes)
        values: list[Scalar] = []
        for each in self.asked:
            if each.of_nodes:
                value = self._item(each, rows)
                rows, column = compute(rows, value, self.tabular)
                values.append(Ref(column, value.type))
        same = apply("$1 = $2", (id, hidden(rows, NODE_ID).ref()), BOOL)
        return Join(relation, rows.relation, "INNER", same), values

    # Rows -------------------------------------------------------------------------------------------------

    def _computed(self, relation: Relation, first: Ref, last: Ref, lists: dict[str, Scalar]) -> Paths:
        rows = Rows(relation, [])
        found: dict[str, Ref] = {}
        for name, value in lists.items():
            rows, id = compute(rows, value, self.tabular)
            found[name] = Ref(id, value.type)
        return Paths(rows.relation, first, last, found)

    def _shared(self, path: Paths) -> Shared:
        refs = [path.first, path.last, *(path.lists[name] for name in self.names)]
        columns = [Column(str(place), ref.id, ref.type) for place, ref in enumerate(refs)]
        shared = self.tabular.context.share(Rows(path.relation, columns))
        shared.keep = True
        return shared

    def _read(self, shared: Shared) -> Paths:
        rows = self.tabular.context.read(shared)
        first, last, *lists = (column.ref() for column in rows.columns)
        return Paths(rows.relation, first, last, dict(zip(self.names, lists, strict=True)))

    def _together(self, found: list[Paths]) -> Paths:
        sources = [[each.first, each.last, *(each.lists[name] for name in self.names)] for each in found]
        columns = [(self.tabular.context.new_id(), cell.type) for cell in sources[0]]
        first, last, *lists = (Ref(id, kind) for id, kind in columns)
        relation = Concat([each.relation for each in found], columns, [list(source) for source in sources])
        return Paths(relation, first, last, dict(zip(self.names, lists, strict=True)))


def answer(asked: Asked, listed: Ref) -> Scalar:
    """The value of map, any or all, of the list of a path."""
    if asked.function == "map":
        return apply("concat('[', array_to_string($1, ','), ']')", (listed,), DYNAMIC)
    if asked.function == "any":
        return apply("list_contains($1, TRUE)", (listed,), BOOL)
    return apply("NOT list_contains($1, FALSE)", (listed,), BOOL)


def length(path: Paths) -> Scalar:
    """How many edges a path has."""
    return apply("len($1)", (path.lists[EDGES],), LONG)
