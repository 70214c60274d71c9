"""The syntax tree of a KQL text. ``at`` is the offset in the text where a node begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
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


class Operator(Node):
    """What stands between pipes; see ``operators``."""

    __slots__ = ()


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
    """``words`` are all names that stand in the text, whatever they name."""

    lets: list[Let]
    result: Expression
    words: frozenset[str]


# All of it --------------------------------------------------------------------------------------------------


def walk(part: object) -> Iterator[Node]:
    """All nodes of a part of the tree (a node, or a list of parts), each before those in it."""
    if isinstance(part, Node):
        yield part
        for field in fields(part):
            yield from walk(getattr(part, field.name))
    elif isinstance(part, list | tuple):
        for each in part:
            yield from walk(each)
