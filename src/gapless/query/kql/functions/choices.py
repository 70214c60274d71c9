"""Conditions, choices between values, and conversions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    REAL,
    STRING,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.conversions import as_type, to_guid
from gapless.query.kql.values.logic import dynamic_or_common, typed_before_dynamic, unified
from gapless.query.kql.values.membership import is_between
from gapless.query.kql.values.numbers import arithmetic
from gapless.query.kql.values.to_number import to_bool, to_int, to_long, to_real
from gapless.query.kql.values.to_text import to_string
from gapless.query.kql.values.to_time import to_datetime, to_timespan

FAMILY = Family("Choices and conversions")


@FAMILY.function("not(condition: bool): bool", "The opposite.")
def _not(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if isinstance(value, Constant):
        return Constant(None if value.value is None else not value.value, BOOL)
    return apply("NOT $1", arguments, BOOL)


@FAMILY.function("iff(condition: bool, then: any, otherwise: any): any", "One value or the other.", ["iif"])
def _iff(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    (then, otherwise), kind = typed_before_dynamic(arguments[1:], f"{call.name}()", call.at)
    condition = arguments[0]
    if isinstance(condition, Constant):
        return then if condition.value else otherwise
    return apply("CASE WHEN $1 THEN $2 ELSE $3 END", (condition, then, otherwise), kind)


@FAMILY.function(
    "case(...alternatives: any): any",
    "The value after the first condition that is true; the last if none is.",
)
def _case(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 3 or len(arguments) % 2 == 0:
        raise call.error("needs conditions, each with a value, and a last value")
    conditions = [as_type(each, BOOL) if each.type.name == "dynamic" else each for each in arguments[:-1:2]]
    for condition in conditions:
        if condition.type.name != "bool":
            raise call.error(f"has a condition of type {condition.type.name}")
    values, kind = typed_before_dynamic([*arguments[1::2], arguments[-1]], "case()", call.at)
    count = len(conditions)
    branches = " ".join(f"WHEN ${index + 1} THEN ${count + index + 1}" for index in range(count))
    return apply(f"CASE {branches} ELSE ${2 * count + 1} END", (*conditions, *values), kind)


@FAMILY.function("coalesce(...values: any): any", "The first value that is not null, or not empty text.")
def _coalesce(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs two values at least")
    values, kind = dynamic_or_common(arguments, "coalesce()", call.at)
    if kind.name == "string":
        texts = ", ".join(f"nullif(${index}, '')" for index in range(1, len(values) + 1))
        return apply(f"coalesce({texts}, '')", values, STRING)
    places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    return apply(f"coalesce({places})", values, kind)


def _most(call: Call, arguments: Sequence[Scalar], function: str) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs two values at least")
    values, kind = unified(arguments, f"{call.name}()", call.at)
    if kind.name in ("dynamic", "bool", "guid", "string"):
        raise call.unsupported(f"{kind.name}")
    places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    found = f"{function}({places})"
    if kind.name == "real":
        nan = " OR ".join(f"coalesce(isnan(${index}), FALSE)" for index in range(1, len(values) + 1))
        found = f"CASE WHEN {nan} THEN CAST('nan' AS DOUBLE) ELSE {found} END"
    return apply(found, values, kind)


@FAMILY.function("max_of(...values: any): any", "The greatest of the values.")
def _max_of(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _most(call, arguments, "greatest")


@FAMILY.function("min_of(...values: any): any", "The least of the values.")
def _min_of(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _most(call, arguments, "least")


@FAMILY.function(
    "around(value: any, center: any, delta: any): bool",
    "Whether a value is at most delta away from a center.",
)
def _around(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value, center, delta = arguments
    low, high = (arithmetic(operator, center, delta, call.at) for operator in "-+")
    return is_between(value, low, high, False, False, call.at)


@FAMILY.function(
    "assert(const condition: bool, const message: string): bool",
    "True; where the condition is false, the query is refused with the message.",
)
def _assert(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    condition, message = (call.constant(each, "an argument").value for each in arguments)
    if condition is not True:
        raise call.error(str(message))
    return Constant(True, BOOL)


@FAMILY.function("tostring(value: any): string", "The text of a value; empty text of null.")
def _tostring(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return to_string(arguments[0])


@FAMILY.function("tolong(value: any): long", "The whole number of a value.")
def _tolong(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], LONG, to_long)


@FAMILY.function("toint(value: any): int", "The whole number of a value, in 32 bits.")
def _toint(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], Type("int"), to_int)


@FAMILY.function("todouble(value: any): real", "The number of a value.", ["toreal"])
def _todouble(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], REAL, to_real)


@FAMILY.function("tobool(value: any): bool", "The truth of a value.", ["toboolean"])
def _tobool(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], BOOL, to_bool)


@FAMILY.function("todatetime(value: any): datetime", "The time of a value.")
def _todatetime(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], Type("datetime"), to_datetime)


@FAMILY.function("totimespan(value: any): timespan", "The timespan of a value.", ["totime"])
def _totimespan(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], Type("timespan"), to_timespan)


@FAMILY.function("toguid(value: any): guid", "The GUID of a value.")
def _toguid(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _converted(arguments[0], Type("guid"), to_guid)


def _converted(value: Scalar, kind: Type, convert: Callable[[Scalar], Scalar]) -> Scalar:
    if value.type.name == kind.name:
        return value
    if isinstance(value, Constant) and value.value is None:
        return Constant(None, kind)
    return convert(value)


@FAMILY.function("gettype(value: any): string", "The name of a value's type.")
def _gettype(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name != "dynamic":
        return Constant(value.type.name, STRING)
    sql = (
        "CASE json_type($1) WHEN 'OBJECT' THEN 'dictionary' WHEN 'ARRAY' THEN 'array'"
        " WHEN 'VARCHAR' THEN 'string'"
        " WHEN 'BOOLEAN' THEN 'bool' WHEN 'UBIGINT' THEN 'long' WHEN 'BIGINT' THEN 'long'"
        " WHEN 'DOUBLE' THEN 'real' ELSE 'null' END"
    )
    return apply(sql, (value,), STRING)
