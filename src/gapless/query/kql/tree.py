"""The syntax tree of a KQL text. ``at`` is the offset in the text where a node begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Node:
    at: int


class Expression(Node):
    __slots__ = ()


# Scalar expressions -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Literal(Expression):
    """``value``: None, bool, int, float, str, ticks, or for dynamic what JSON decodes to."""

    type: str
    value: Any


@dataclass(slots=True)
class Name(Expression):
    name: str


@dataclass(slots=True)
class Wildcard(Expression):
    """``*``, or a pattern of names such as ``Target*``."""

    pattern: str


@dataclass(slots=True)
class Member(Expression):
    value: Expression
    name: str


@dataclass(slots=True)
class Index(Expression):
    value: Expression
    index: Expression


@dataclass(slots=True)
class Argument(Node):
    name: str | None
    value: Expression


@dataclass(slots=True)
class Call(Expression):
    name: str
    arguments: list[Argument]


@dataclass(slots=True)
class Unary(Expression):
    operand: Expression


@dataclass(slots=True)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True)
class Logical(Expression):
    """``operator``: and, or; of two operands or more."""

    operator: str
    operands: list[Expression]


@dataclass(slots=True)
class Between(Expression):
    value: Expression
    low: Expression
    high: Expression
    negated: bool


@dataclass(slots=True)
class In(Expression):
    """``operator``: in, !in, in~, !in~, has_any, has_all."""

    operator: str
    value: Expression
    items: list[Expression]


@dataclass(slots=True)
class Named(Node):
    """``name = value`` in a list; several names as ``(a, b) = value``; none without a name."""

    names: list[str]
    value: Expression


@dataclass(slots=True)
class Pipeline(Expression):
    """A source and the operators that its rows go through."""

    source: Expression
    operators: list[Operator]


@dataclass(slots=True)
class Datatable(Expression):
    columns: list[tuple[str, str]]
    values: list[Expression]


@dataclass(slots=True)
class RangeSource(Expression):
    name: str
    start: Expression
    stop: Expression
    step: Expression


@dataclass(slots=True)
class Print(Expression):
    columns: list[Named]


@dataclass(slots=True)
class UnionSource(Expression):
    union: Union


@dataclass(slots=True)
class SearchSource(Expression):
    search: Search


# Tabular operators ------------------------------------------------------------------------------------------


class Operator(Node):
    __slots__ = ()


@dataclass(slots=True)
class Where(Operator):
    predicate: Expression


@dataclass(slots=True)
class Extend(Operator):
    columns: list[Named]


@dataclass(slots=True)
class Project(Operator):
    """``kind``: project, project-away, project-keep, project-rename, project-reorder."""

    kind: str
    columns: list[Named]
    orders: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Summarize(Operator):
    aggregates: list[Named]
    keys: list[Named]


@dataclass(slots=True)
class Distinct(Operator):
    columns: list[Named]


@dataclass(slots=True)
class OrderKey(Node):
    value: Expression
    descending: bool
    nulls_first: bool


@dataclass(slots=True)
class Sort(Operator):
    keys: list[OrderKey]


@dataclass(slots=True)
class Top(Operator):
    rows: Expression
    keys: list[OrderKey]


@dataclass(slots=True)
class Take(Operator):
    rows: Expression


@dataclass(slots=True)
class Count(Operator):
    pass


@dataclass(slots=True)
class Join(Operator):
    """``lookup`` says that it was written so."""

    kind: str
    right: Expression
    conditions: list[Expression]
    lookup: bool


@dataclass(slots=True)
class Union(Operator):
    inputs: list[Expression]
    kind: str
    source_column: str | None
    is_fuzzy: bool


@dataclass(slots=True)
class Expansion(Node):
    name: str | None
    value: Expression
    type: str | None


@dataclass(slots=True)
class MvExpand(Operator):
    columns: list[Expansion]
    index_column: str | None
    bag_as_array: bool
    limit: Expression | None


@dataclass(slots=True)
class MvApply(Operator):
    columns: list[Expansion]
    index_column: str | None
    limit: Expression | None
    body: list[Operator]


@dataclass(slots=True)
class ParseColumn(Node):
    """A part of a parse pattern: a text to find, a column to fill, or ``*``."""

    text: str | None = None
    name: str | None = None
    type: str = "string"


@dataclass(slots=True)
class Parse(Operator):
    value: Expression
    kind: str
    flags: str
    parts: list[ParseColumn]
    only_matching: bool


@dataclass(slots=True)
class ParseKv(Operator):
    value: Expression
    columns: list[tuple[str, str]]
    options: dict[str, Any]


@dataclass(slots=True)
class MakeSeries(Operator):
    aggregates: list[tuple[Named, Expression | None]]
    axis: Expression
    start: Expression | None
    stop: Expression | None
    step: Expression
    keys: list[Named]
    stop_included: bool


@dataclass(slots=True)
class Evaluate(Operator):
    call: Call
    columns: list[tuple[str, str]] | None


@dataclass(slots=True)
class Serialize(Operator):
    columns: list[Named]


@dataclass(slots=True)
class Search(Operator):
    predicate: Expression
    case_sensitive: bool
    tables: list[Expression]


@dataclass(slots=True)
class Render(Operator):
    kind: str


@dataclass(slots=True)
class GetSchema(Operator):
    pass


@dataclass(slots=True)
class AsName(Operator):
    name: str


@dataclass(slots=True)
class Invoke(Operator):
    call: Call


# Statements -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Parameter(Node):
    """``columns`` are those of a tabular parameter; None of them means that any will do."""

    name: str
    type: str
    columns: list[tuple[str, str]] | None = None
    default: Expression | None = None


@dataclass(slots=True)
class FunctionBody(Expression):
    parameters: list[Parameter]
    lets: list[Let]
    result: Expression | None
    is_view: bool = False


@dataclass(slots=True)
class Let(Node):
    name: str
    value: Expression


@dataclass(slots=True)
class Query(Node):
    lets: list[Let]
    result: Expression
