"""Types, and scalar expressions over columns.

A column is known by its id, which is unique in a query: names belong to ``Rows`` alone, so renaming and
reordering cost nothing, and no name that a user chose gets into the SQL but as the answer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

if TYPE_CHECKING:
    from gapless.query.kql.relational.relation import Rows

#: From SQL arguments to SQL.
Emit = Callable[[Sequence[exp.Expression]], exp.Expression]


@dataclass(frozen=True, slots=True)
class Type:
    """A Kusto type, and the form in which the engine holds its values.

    string: text, where "" and (form "nullable") NULL both mean the empty string. datetime: ticks since
    0001-01-01 as an integer, or (form "us") a time as tables hold it. timespan: ticks. guid: text in lower
    case. dynamic: JSON text, where JSON's null is NULL.
    """

    name: str
    form: str = ""


BOOL, INT, LONG, REAL = Type("bool"), Type("int"), Type("long"), Type("real")
STRING, NULLABLE_STRING = Type("string"), Type("string", "nullable")
DATETIME, DATETIME_US = Type("datetime"), Type("datetime", "us")
TIMESPAN, GUID, DYNAMIC, DECIMAL = Type("timespan"), Type("guid"), Type("dynamic"), Type("decimal")
TYPES = {t.name: t for t in (BOOL, INT, LONG, REAL, STRING, DATETIME, TIMESPAN, GUID, DYNAMIC, DECIMAL)}
NUMBERS = frozenset({"int", "long", "real"})


class Scalar:
    """A scalar expression."""

    __slots__ = ("type",)
    type: Type

    def parts(self) -> Sequence[Scalar]:
        """The expressions directly in it."""
        return ()


class Constant(Scalar):
    """A value that is known: None, bool, int, float, str, ticks, or (dynamic) what JSON decodes to."""

    __slots__ = ("value",)

    def __init__(self, value: Any, type: Type) -> None:
        self.value, self.type = value, type


class Ref(Scalar):
    """A column's value."""

    __slots__ = ("id",)

    def __init__(self, id: int, type: Type) -> None:
        self.id, self.type = id, type


class Apply(Scalar):
    """A function's value; ``volatile`` if it is another one each time."""

    __slots__ = ("arguments", "emit", "volatile")

    def __init__(self, emit: Emit, arguments: Sequence[Scalar], type: Type, volatile: bool = False) -> None:
        self.emit, self.arguments, self.type, self.volatile = emit, arguments, type, volatile

    def parts(self) -> Sequence[Scalar]:
        return self.arguments


class Struct(Scalar):
    """Several values as one: fields f<id> of (id, value). Fields that nobody asks for are dropped."""

    __slots__ = ("fields",)

    def __init__(self, fields: list[tuple[int, Scalar]]) -> None:
        self.fields, self.type = fields, Type("struct")

    def parts(self) -> Sequence[Scalar]:
        return [value for _, value in self.fields]


class Field(Scalar):
    """A field of a ``Struct``'s column."""

    __slots__ = ("field", "struct")

    def __init__(self, struct: Ref, field: int, type: Type) -> None:
        self.struct, self.field, self.type = struct, field, type

    def parts(self) -> Sequence[Scalar]:
        return (self.struct,)


class SubqueryValue(Scalar):
    """The value of a column in the first row of a relation."""

    __slots__ = ("column", "rows")

    def __init__(self, rows: Rows, column: Column) -> None:
        self.rows, self.column, self.type = rows, column, column.type


class SubqueryContains(Scalar):
    """Whether a value is among those of a relation's column; never null. ``member`` is what is compared of
    the relation's column."""

    __slots__ = ("member", "rows", "value")

    def __init__(self, value: Scalar, rows: Rows, member: Scalar) -> None:
        self.value, self.rows, self.member, self.type = value, rows, member, BOOL

    def parts(self) -> Sequence[Scalar]:
        return (self.value,)


def walk(*values: Scalar) -> Iterator[Scalar]:
    """Expressions and all expressions in them, each before its parts."""
    pending = list(values)
    while pending:
        each = pending.pop()
        yield each
        pending.extend(each.parts())


def refs(*values: Scalar) -> set[int]:
    """The columns that expressions refer to."""
    return {each.id for each in walk(*values) if isinstance(each, Ref)}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a user sees."""

    name: str
    id: int
    type: Type

    def ref(self) -> Ref:
        return Ref(self.id, self.type)


@dataclass(slots=True)
class Order:
    """A key of an order."""

    value: Scalar
    descending: bool
    nulls_first: bool
