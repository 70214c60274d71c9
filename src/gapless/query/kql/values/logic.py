"""and, or, not; and the choice between values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from gapless.query.kql.emission.sql import closed
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.scalars import (
    BOOL,
    DATETIME_US,
    DYNAMIC,
    LONG,
    NULLABLE_STRING,
    NUMBERS,
    REAL,
    STRING,
    Apply,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.conversions import as_type, to_dynamic
from gapless.query.kql.values.forms import certain_text, ticks


def _and(arguments: Sequence[exp.Expression]) -> exp.Expression:
    return _chain(exp.And, arguments)


def _or(arguments: Sequence[exp.Expression]) -> exp.Expression:
    return _chain(exp.Or, arguments)


def _chain(kind: type[exp.Connector], arguments: Sequence[exp.Expression]) -> exp.Expression:
    result: exp.Expression = closed(arguments[0])
    for argument in arguments[1:]:
        joined: Any = kind(this=result, expression=closed(argument))
        result = joined
    return result


def logical(operator: str, operands: Sequence[Scalar], at: int) -> Scalar:
    """``and`` or ``or`` of conditions, with three values."""
    decisive = operator == "or"
    rest = []
    for operand in operands:
        condition = as_type(operand, BOOL) if operand.type.name == "dynamic" else operand
        if condition.type.name != "bool":
            raise KqlError(f"{operator} needs conditions, not a value of type {condition.type.name}", at)
        if isinstance(condition, Constant) and condition.value is decisive:
            return condition
        if not (isinstance(condition, Constant) and condition.value is (not decisive)):
            rest.append(condition)
    if not rest:
        return Constant(not decisive, BOOL)
    return rest[0] if len(rest) == 1 else Apply(_or if decisive else _and, rest, BOOL)


def common_type(values: Sequence[Scalar], where: str, at: int) -> Type:
    """The one type that all of ``values`` can have. Raises KqlError if there is none."""
    known = [v for v in values if not (isinstance(v, Constant) and v.value is None)] or list(values)
    names = {value.type.name for value in known}
    if names == {"string"}:
        return NULLABLE_STRING if any(v.type.form for v in values) else STRING
    if names == {"datetime"} and all(v.type.form == "us" for v in known):
        return DATETIME_US
    if len(names) == 1:
        return Type(names.pop())
    if names <= {"int", "long"}:
        return LONG
    if names <= NUMBERS:
        return REAL
    raise KqlError(f"{where} has values of types {', '.join(sorted(names))}: convert them to one type", at)


def unified(values: Sequence[Scalar], where: str, at: int) -> tuple[list[Scalar], Type]:
    """``values``, all of one type, and that type."""
    kind = common_type(values, where, at)
    return [in_form(value, kind) for value in values], kind


def in_form(value: Scalar, kind: Type) -> Scalar:
    """``value`` as ``kind``, in the form that the engine holds it."""
    if isinstance(value, Constant) and value.value is None:
        return Constant("" if kind.name == "string" else None, kind)
    converted = as_type(value, kind)
    if kind.form == "us" or kind.form == "nullable":
        return converted
    return certain_text(ticks(converted))


def dynamic_or_common(values: Sequence[Scalar], where: str, at: int) -> tuple[list[Scalar], Type]:
    """As ``unified``; what has no type in common becomes dynamic, if one of them is."""
    if any(v.type.name == "dynamic" for v in values) and not all(v.type.name == "dynamic" for v in values):
        return [to_dynamic(value) for value in values], DYNAMIC
    return unified(values, where, at)


def typed_before_dynamic(values: Sequence[Scalar], where: str, at: int) -> tuple[list[Scalar], Type]:
    """As ``unified``; what is dynamic is converted to the type of the others, as iff() and case() do."""
    typed = [value for value in values if value.type.name != "dynamic"]
    if not typed or len(typed) == len(values):
        return unified(values, where, at)
    kind = common_type(typed, where, at)
    return [in_form(value, kind) for value in values], kind
