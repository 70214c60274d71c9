"""The tabular part of the syntax tree: where rows come from, and the operators between pipes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gapless.query.kql.syntax import tree

# Sources --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Datatable(tree.Expression):
    columns: list[tuple[str, str]]
    values: list[tree.Expression]


@dataclass(slots=True)
class RangeSource(tree.Expression):
    name: str
    start: tree.Expression
    stop: tree.Expression
    step: tree.Expression


@dataclass(slots=True)
class Print(tree.Expression):
    columns: list[tree.Named]


@dataclass(slots=True)
class UnionSource(tree.Expression):
    union: Union


@dataclass(slots=True)
class SearchSource(tree.Expression):
    search: Search


# Operators ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Where(tree.Operator):
    predicate: tree.Expression


@dataclass(slots=True)
class Extend(tree.Operator):
    columns: list[tree.Named]


@dataclass(slots=True)
class Project(tree.Operator):
    """``kind``: project, project-away, project-keep, project-rename, project-reorder."""

    kind: str
    columns: list[tree.Named]
    orders: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Summarize(tree.Operator):
    aggregates: list[tree.Named]
    keys: list[tree.Named]


@dataclass(slots=True)
class Distinct(tree.Operator):
    columns: list[tree.Named]


@dataclass(slots=True)
class OrderKey(tree.Node):
    value: tree.Expression
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class Sort(tree.Operator):
    keys: list[OrderKey]


@dataclass(slots=True)
class Top(tree.Operator):
    rows: tree.Expression
    keys: list[OrderKey]


@dataclass(slots=True)
class TopLevel(tree.Node):
    """``rows``: how many values it keeps; None for all."""

    rows: tree.Expression | None
    value: tree.Named
    aggregate: tree.Named
    descending: bool


@dataclass(slots=True)
class TopNested(tree.Operator):
    levels: list[TopLevel]


@dataclass(slots=True)
class Sample(tree.Operator):
    rows: tree.Expression


@dataclass(slots=True)
class SampleDistinct(tree.Operator):
    rows: tree.Expression
    value: tree.Named


@dataclass(slots=True)
class Take(tree.Operator):
    rows: tree.Expression


@dataclass(slots=True)
class Count(tree.Operator):
    pass


@dataclass(slots=True)
class Join(tree.Operator):
    """``lookup`` says that it was written so."""

    kind: str
    right: tree.Expression
    conditions: list[tree.Expression]
    lookup: bool


@dataclass(slots=True)
class Union(tree.Operator):
    inputs: list[tree.Expression]
    kind: str
    source_column: str | None
    is_fuzzy: bool


@dataclass(slots=True)
class Expansion(tree.Node):
    name: str | None
    value: tree.Expression
    type: str | None


@dataclass(slots=True)
class MvExpand(tree.Operator):
    columns: list[Expansion]
    index_column: str | None
    bag_as_array: bool
    limit: tree.Expression | None


@dataclass(slots=True)
class MvApply(tree.Operator):
    columns: list[Expansion]
    index_column: str | None
    limit: tree.Expression | None
    body: list[tree.Operator]


@dataclass(slots=True)
class ParseColumn(tree.Node):
    """A part of a parse pattern: a text to find, a column to fill, or ``*``."""

    text: str | None = None
    name: str | None = None
    type: str = "string"


@dataclass(slots=True)
class Parse(tree.Operator):
    value: tree.Expression
    kind: str
    flags: str
    parts: list[ParseColumn]
    only_matching: bool


@dataclass(slots=True)
class ParseKv(tree.Operator):
    value: tree.Expression
    columns: list[tuple[str, str]]
    options: dict[str, Any]


@dataclass(slots=True)
class MakeSeries(tree.Operator):
    aggregates: list[tuple[tree.Named, tree.Expression | None]]
    axis: tree.Expression
    start: tree.Expression | None
    stop: tree.Expression | None
    step: tree.Expression
    keys: list[tree.Named]
    stop_included: bool


@dataclass(slots=True)
class Evaluate(tree.Operator):
    """``columns`` are those of the result, if they are written down; ``keeps_input``: after those before."""

    call: tree.Call
    columns: list[tuple[str, str]] | None
    keeps_input: bool = False


@dataclass(slots=True)
class ScanStep(tree.Node):
    """``output``: all, last, none."""

    name: str
    output: str
    condition: tree.Expression
    assignments: list[tree.Named]


@dataclass(slots=True)
class ScanSteps(tree.Operator):
    """``match_id`` is the column for the number of a match, if there is to be one."""

    match_id: str | None
    declared: list[tree.Parameter]
    steps: list[ScanStep]


@dataclass(slots=True)
class Serialize(tree.Operator):
    columns: list[tree.Named]


@dataclass(slots=True)
class Search(tree.Operator):
    predicate: tree.Expression
    case_sensitive: bool
    tables: list[tree.Expression]


@dataclass(slots=True)
class Render(tree.Operator):
    kind: str


@dataclass(slots=True)
class GetSchema(tree.Operator):
    pass


@dataclass(slots=True)
class AsName(tree.Operator):
    name: str


@dataclass(slots=True)
class Partition(tree.Operator):
    """``body`` are the operators that the rows of each different value of ``key`` go through."""

    key: tree.Name
    body: list[tree.Operator]


@dataclass(slots=True)
class Invoke(tree.Operator):
    call: tree.Call
