"""Mathematical functions."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DATETIME,
    DYNAMIC,
    LONG,
    NUMBERS,
    REAL,
    STRING,
    TIMESPAN,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.numbers import wrapped_sql

FAMILY = Family("Numbers")

for _name, _summary in {
    "sqrt": "The square root.",
    "exp": "e to this power.",
    "sin": "The sine.",
    "cos": "The cosine.",
    "tan": "The tangent.",
    "atan": "The angle with this tangent.",
    "degrees": "From radians to degrees.",
    "radians": "From degrees to radians.",
}.items():
    FAMILY.sql(f"{_name}(value: real): real", f"{_name}($1)", _summary)
for _name, _summary in {"acos": "The angle with this cosine.", "asin": "The angle with this sine."}.items():
    FAMILY.sql(
        f"{_name}(value: real): real",
        f"CASE WHEN $1 BETWEEN -1 AND 1 THEN {_name}($1) WHEN $1 IS NOT NULL THEN CAST('nan' AS DOUBLE) END",
        _summary,
    )
FAMILY.sql("atan2(y: real, x: real): real", "atan2($1, $2)", "The angle of a point.")
FAMILY.sql("cot(value: real): real", "1 / tan($1)", "The cotangent.")
FAMILY.sql("exp2(value: real): real", "pow(CAST(2 AS DOUBLE), $1)", "2 to this power.")
FAMILY.sql("exp10(value: real): real", "pow(CAST(10 AS DOUBLE), $1)", "10 to this power.")
FAMILY.sql("pow(base: real, exponent: real): real", "pow($1, $2)", "A power.")
FAMILY.sql(
    "log(value: real): real", "CASE WHEN $1 >= 0 THEN ln($1) END", "The natural logarithm; null below 0."
)
FAMILY.sql("log2(value: real): real", "CASE WHEN $1 >= 0 THEN log2($1) END", "The logarithm to base 2.")
FAMILY.sql("log10(value: real): real", "CASE WHEN $1 >= 0 THEN log10($1) END", "The logarithm to base 10.")
FAMILY.sql("gamma(value: real): real", "CASE WHEN $1 > 0 THEN gamma($1) END", "The gamma function.")
FAMILY.sql(
    "loggamma(value: real): real",
    "CASE WHEN $1 > 0 THEN lgamma($1) END",
    "The logarithm of the gamma function.",
)
FAMILY.sql("pi(): real", "pi()", "The number pi.")
FAMILY.sql("isnan(value: real): bool", "coalesce(isnan($1), FALSE)", "Whether a value is NaN.")
FAMILY.sql("isinf(value: real): bool", "coalesce(isinf($1), FALSE)", "Whether a value is infinite.")
FAMILY.sql("isfinite(value: real): bool", "coalesce(isfinite($1), FALSE)", "Whether a value is finite.")
FAMILY.sql("binary_and(a: long, b: long): long", "$1 & $2", "Bitwise and.")
FAMILY.sql("binary_or(a: long, b: long): long", "$1 | $2", "Bitwise or.")
FAMILY.sql("binary_xor(a: long, b: long): long", "xor($1, $2)", "Bitwise exclusive or.")
FAMILY.sql("binary_not(value: long): long", "-1 - $1", "Bitwise not.")
FAMILY.sql(
    "binary_shift_left(value: long, count: long): long",
    wrapped_sql("CAST($1 AS HUGEINT) * (CAST(1 AS HUGEINT) << CAST(($2 % 64 + 64) % 64 AS BIGINT))"),
    "The bits moved up; a count beyond 63 begins again at 0.",
)
FAMILY.sql(
    "binary_shift_right(value: long, count: long): long",
    "$1 >> CAST(($2 % 64 + 64) % 64 AS BIGINT)",
    "The bits moved down; a count beyond 63 begins again at 0.",
)
FAMILY.sql(
    "bitset_count_ones(value: long): long",
    "CAST(bit_count(CAST($1 AS BIGINT)) AS BIGINT)",
    "The number of bits set.",
)


@FAMILY.function("abs(value: any): any", "The value without its sign.")
def _abs(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name == "dynamic":
        value = as_type(value, REAL)
    if value.type.name == "int":
        return apply("abs(CAST($1 AS BIGINT))", (value,), LONG)
    if value.type.name in ("long", "timespan"):
        return apply(wrapped_sql("abs(CAST($1 AS HUGEINT))"), (value,), value.type)
    if value.type.name != "real":
        raise call.error(f"is not there for {value.type.name}")
    return apply("abs($1)", (value,), value.type)


@FAMILY.function("sign(value: number): real", "-1, 0 or 1.")
def _sign(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    return apply("CAST(sign($1) AS DOUBLE)", (value,), REAL)


@FAMILY.function("round(value: number, const digits?: long): any", "Rounded; halves go away from 0.")
def _round(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    digits = call.constant(arguments[1], "digits").value if len(arguments) > 1 else 0
    if digits is None or not -15 <= digits <= 15:
        raise call.error("needs digits from -15 to 15")
    value = arguments[0]
    if value.type.name in ("int", "long") and digits >= 0:
        return value
    rounded = apply(f"round($1, {digits})", (as_type(value, REAL),), REAL)
    return as_type(rounded, value.type) if value.type.name in ("int", "long") else rounded


@FAMILY.function("ceiling(value: number): any", "The least whole number that is not less.")
def _ceiling(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name in ("int", "long"):
        return value
    return apply("ceil($1)", (as_type(value, REAL),), REAL)


@FAMILY.function("rand(const top?: long): real", "A random number from 0 to 1, or a whole one below top.")
def _rand(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if not arguments:
        return apply("random()", (), REAL, volatile=True)
    top = call.constant(arguments[0], "a top").value
    if top is None or top < 2:
        return apply("random()", (), REAL, volatile=True)
    return apply(f"floor(random() * {top})", (), REAL, volatile=True)


@FAMILY.function(
    "bin(value: any, size: any): any",
    "Rounded down to a multiple of size; times from 0001-01-01.",
    ["floor"],
)
def _bin(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value, size = arguments
    if value.type.name == "dynamic":
        value = as_type(value, REAL)
    kinds = (value.type.name, size.type.name)
    match kinds:
        case ("datetime" | "timespan", "timespan"):
            return _bin_ticks(value, size)
        case ("int" | "long", "int" | "long"):
            # In 128 bits: the bin of a number near the least begins below all of 64 bits.
            sql = wrapped_sql("CAST($1 AS HUGEINT) - (CAST($1 AS HUGEINT) % $2 + $2) % $2")
            return apply(f"CASE WHEN $2 > 0 THEN {sql} END", (value, size), LONG)
        case ("int" | "long" | "real", "int" | "long" | "real"):
            sql = "CASE WHEN $2 > 0 THEN floor($1 / $2) * $2 END"
            return apply(sql, [as_type(each, REAL) for each in (value, size)], REAL)
    raise call.error(f"is not there for {kinds[0]} in steps of {kinds[1]}")


def _bin_ticks(value: Scalar, size: Scalar) -> Scalar:
    kind = DATETIME if value.type.name == "datetime" else TIMESPAN
    value = ticks(value)
    if isinstance(size, Constant):
        width = size.value
        if not width or width < 0:
            return Constant(None, kind)
        if isinstance(value, Constant):
            return Constant(None if value.value is None else value.value // width * width, kind)
        if kind is DATETIME:
            return apply(f"$1 // {width} * {width}", (value,), kind)
        return apply(wrapped_sql(f"CAST($1 AS HUGEINT) - ($1 % {width} + {width}) % {width}"), (value,), kind)
    sql = wrapped_sql("CAST($1 AS HUGEINT) - (CAST($1 AS HUGEINT) % $2 + $2) % $2")
    return apply(f"CASE WHEN $2 > 0 THEN {sql} END", (value, size), kind)


@FAMILY.function(
    "bin_at(value: any, size: any, fixed: any): any", "Rounded down to a bin of which fixed is a start."
)
def _bin_at(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value, size, fixed = (ticks(each) for each in arguments)
    kinds = (value.type.name, size.type.name, fixed.type.name)
    if kinds in (("datetime", "timespan", "datetime"), ("timespan", "timespan", "timespan")) or set(
        kinds
    ) <= {
        "int",
        "long",
    }:
        whole = "CAST($1 AS HUGEINT)"
        sql = f"CASE WHEN $2 > 0 THEN {wrapped_sql(f'{whole} - (({whole} - $3) % $2 + $2) % $2')} END"
        return apply(sql, (value, size, fixed), LONG if kinds[0] == "int" else value.type)
    if set(kinds) <= NUMBERS:
        reals = [as_type(each, REAL) for each in (value, size, fixed)]
        return apply("CASE WHEN $2 > 0 THEN floor(($1 - $3) / $2) * $2 + $3 END", reals, REAL)
    raise call.error(f"is not there for {', '.join(kinds)}")


@FAMILY.function("range(start: any, stop: any, step?: any): dynamic", "An array of evenly spaced values.")
def _range(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    values = [ticks(each) for each in arguments]
    kinds = {each.type.name for each in values}
    step = values[2] if len(values) > 2 else Constant(1, LONG)
    if kinds <= {"int", "long"}:
        series = "list_slice(generate_series($1, $2, $3), 1, 1048576)"
        sql = f"CASE WHEN $3 <> 0 THEN CAST(to_json({series}) AS VARCHAR) END"
        whole = [as_type(each, LONG) for each in (values[0], values[1], step)]
        return apply(sql, whole, DYNAMIC)
    raise call.unsupported(f"values of type {', '.join(sorted(kinds))}")


@FAMILY.function("tohex(value: long, const length?: long): string", "The hexadecimal digits of a number.")
def _tohex(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    length = call.constant(arguments[1], "a length").value if len(arguments) > 1 else 0
    digits = "lower(to_hex(CAST($1 AS BIGINT)))"
    padded = f"lpad({digits}, CAST(greatest({int(length or 0)}, length({digits})) AS INTEGER), '0')"
    return apply(f"coalesce({padded}, '')", arguments[:1], STRING)
