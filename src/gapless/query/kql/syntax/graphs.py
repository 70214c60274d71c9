"""Graph operators in the syntax tree."""

from __future__ import annotations

from dataclasses import dataclass

from gapless.query.kql.syntax import tree


@dataclass(slots=True)
class NodeTable(tree.Node):
    """A table of nodes, and the column that holds their ids."""

    rows: tree.Expression
    key: tree.Expression


@dataclass(slots=True)
class MakeGraph(tree.Operator):
    """``id_column``: the name for the ids of nodes, if no table has them."""

    source: tree.Expression
    target: tree.Expression
    nodes: list[NodeTable]
    id_column: str | None


@dataclass(slots=True)
class EdgePattern(tree.Node):
    """``direction``: right, left, any. ``length``: how many edges, from and to; None for one."""

    name: str | None
    direction: str
    length: tuple[int, int] | None


@dataclass(slots=True)
class GraphMatch(tree.Operator):
    """``nodes`` are the names of the pattern's nodes, None for those without; ``edges`` stand between them.
    ``shortest``: any or all of the shortest paths alone; None for all matches. ``cycles``: all, none,
    unique_edges."""

    nodes: list[str | None]
    edges: list[EdgePattern]
    predicate: tree.Expression | None
    columns: list[tree.Named]
    cycles: str
    shortest: str | None


@dataclass(slots=True)
class MarkComponents(tree.Operator):
    column: str


@dataclass(slots=True)
class GraphToTable(tree.Operator):
    """``kind``: nodes, edges. ``id_columns``: names for the ids of a node, or of an edge's source and
    target; None for those that are not wanted."""

    kind: str
    id_columns: list[str | None]
