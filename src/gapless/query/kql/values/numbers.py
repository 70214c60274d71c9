"""Arithmetic: of numbers, datetimes and timespans."""

from __future__ import annotations

import math

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.scalars import (
    DATETIME,
    LONG,
    NUMBERS,
    REAL,
    TIMESPAN,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.values import LAST_TICKS, wrapped

_INTEGERS = frozenset({"int", "long"})


def wrapped_sql(sql: str) -> str:
    """SQL: what 64 bits hold of a HUGEINT; arithmetic beyond them wraps around, as Kusto's does."""
    return f"CAST((({sql} + 9223372036854775808) & 18446744073709551615) - 9223372036854775808 AS BIGINT)"


def arithmetic(operator: str, left: Scalar, right: Scalar, at: int) -> Scalar:
    """``left operator right``. Raises KqlError for types that it is not there for."""
    kinds = (left.type.name, right.type.name)
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return _of_numbers(operator, left, right)
    if set(kinds) <= {"datetime", "timespan", *NUMBERS}:
        result = _of_times(operator, left, right)
        if result is not None:
            return result
    raise KqlError(
        f"{operator} is not there between {kinds[0]} and {kinds[1]}: convert them, with tolong() for example",
        at,
    )


def negated(value: Scalar, at: int) -> Scalar:
    """``-value``"""
    kind = value.type
    if kind.name not in (*NUMBERS, "timespan"):
        raise KqlError(f"- is not there for {kind.name}", at)
    result = LONG if kind.name == "int" else kind
    if isinstance(value, Constant):
        number = None if value.value is None else -value.value
        if number is not None and kind.name != "real":
            number = wrapped(number)
        return Constant(number, result)
    if kind.name == "real":
        return apply("-$1", (value,), result)
    return apply(
        "-CAST($1 AS BIGINT)" if kind.name == "int" else wrapped_sql("-CAST($1 AS HUGEINT)"), (value,), result
    )


def _of_numbers(operator: str, left: Scalar, right: Scalar) -> Scalar:
    if {left.type.name, right.type.name} <= _INTEGERS:
        return _of_integers(operator, left, right)
    left, right = as_type(left, REAL), as_type(right, REAL)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Constant(_reals(operator, left.value, right.value), REAL)
    if operator == "%":
        # Never negative, as with integers.
        sql = "CASE WHEN $2 <> 0 AND isfinite($1) AND isfinite($2)"
        sql += " THEN (fmod($1, $2) + abs($2)) - floor((fmod($1, $2) + abs($2)) / abs($2)) * abs($2)"
        return apply(
            sql + " WHEN $1 IS NOT NULL AND $2 IS NOT NULL THEN CAST('nan' AS DOUBLE) END",
            (left, right),
            REAL,
        )
    return apply(f"$1 {operator} $2", (left, right), REAL)


def _of_integers(operator: str, left: Scalar, right: Scalar, kind: Type = LONG) -> Scalar:
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Constant(_longs(operator, left.value, right.value), kind)
    # 32-bit values are widened first: the result is of 64 bits, and has room.
    first = "CAST($1 AS BIGINT)" if left.type.name == "int" else "$1"
    second = "CAST($2 AS BIGINT)" if right.type.name == "int" else "$2"
    divisor = right.value if isinstance(right, Constant) else None
    if operator == "/":
        if divisor in (None, -1):
            # The least number divided by -1 is one more than the greatest.
            return apply(wrapped_sql("CAST($1 AS HUGEINT) // nullif($2, 0)"), (left, right), kind)
        return apply(f"{first} // nullif({second}, 0)", (left, right), kind)
    if operator == "%":
        size = "abs(nullif(CAST($2 AS HUGEINT), 0))" if divisor is None else str(abs(divisor) or "NULL")
        return apply(f"CAST(({first} % {size} + {size}) % {size} AS BIGINT)", (left, right), kind)
    bits = (_bits(left), _bits(right))
    if sum(bits) < 63 if operator == "*" else max(bits) < 63 and min(bits) < 62:
        return apply(f"{first} {operator} {second}", (left, right), kind)
    return apply(wrapped_sql(f"CAST($1 AS HUGEINT) {operator} $2"), (left, right), kind)


def _bits(value: Scalar) -> int:
    """So many bits surely hold the size of an integer."""
    if isinstance(value, Constant):
        return 0 if value.value is None else value.value.bit_length()
    return {"int": 31, "datetime": 62}.get(value.type.name, 63)


def _longs(operator: str, left: int | None, right: int | None) -> int | None:
    if left is None or right is None or (operator in "/%" and right == 0):
        return None
    if operator == "/":
        quotient = abs(left) // abs(right)
        return wrapped(quotient if (left < 0) == (right < 0) else -quotient)
    if operator == "%":
        return left % abs(right)
    return wrapped({"+": left + right, "-": left - right, "*": left * right}[operator])


def _reals(operator: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if operator == "/":
        if right == 0:
            if left == 0 or math.isnan(left):
                return math.nan
            return math.copysign(math.inf, left) * math.copysign(1.0, right)
        return left / right
    if operator == "%":
        if right == 0 or not math.isfinite(left) or not math.isfinite(right):
            return math.nan
        return math.fmod(math.fmod(left, right) + abs(right), abs(right))
    try:
        return {"+": left + right, "-": left - right, "*": left * right}[operator]
    except OverflowError:
        return math.inf


def _of_times(operator: str, left: Scalar, right: Scalar) -> Scalar | None:
    left, right = ticks(left), ticks(right)
    kinds = (left.type.name, right.type.name)
    match operator, *kinds:
        case "+", "datetime", "timespan":
            return _moved("+", left, right)
        case "+", "timespan", "datetime":
            return _moved("+", right, left)
        case "-", "datetime", "timespan":
            return _moved("-", left, right)
        case ("-", "datetime", "datetime") | ("+" | "-", "timespan", "timespan"):
            return _of_integers(operator, left, right, TIMESPAN)
        case "*", "timespan", ("int" | "long"):
            return _of_integers("*", left, right, TIMESPAN)
        case "*", ("int" | "long"), "timespan":
            return _of_integers("*", right, left, TIMESPAN)
        case "*", "timespan", "real":
            return _scaled("*", left, right)
        case "*", "real", "timespan":
            return _scaled("*", right, left)
        case "/", "timespan", "timespan":
            return _of_numbers("/", _as_real(left), _as_real(right))
        case "/", "timespan", ("int" | "long" | "real"):
            return _scaled("/", left, right)
        case "%", ("timespan" | "datetime"), "timespan":
            return _of_integers("%", left, right, TIMESPAN)
    return None


def _as_real(span: Scalar) -> Scalar:
    if isinstance(span, Constant):
        return Constant(None if span.value is None else float(span.value), REAL)
    return apply("CAST($1 AS DOUBLE)", (span,), REAL)


def _moved(operator: str, moment: Scalar, span: Scalar) -> Scalar:
    """A datetime some time later or earlier; null before the year 1 and after 9999."""
    if isinstance(moment, Constant) and isinstance(span, Constant):
        if moment.value is None or span.value is None:
            return Constant(None, DATETIME)
        moved = moment.value + (span.value if operator == "+" else -span.value)
        return Constant(moved if 0 <= moved <= LAST_TICKS else None, DATETIME)
    # A span that is longer than all of time would overflow.
    moved = f"CASE WHEN $1 {operator} $2 BETWEEN 0 AND {LAST_TICKS} THEN $1 {operator} $2 END"
    is_short = isinstance(span, Constant) and span.value is not None and abs(span.value) <= LAST_TICKS
    guarded = f"CASE WHEN $2 BETWEEN {-LAST_TICKS} AND {LAST_TICKS} THEN {moved} END"
    return apply(moved if is_short else guarded, (moment, span), DATETIME)


def _scaled(operator: str, span: Scalar, factor: Scalar) -> Scalar:
    if operator == "/" and factor.type.name in _INTEGERS:
        return _of_integers("/", span, factor, TIMESPAN)
    if isinstance(span, Constant) and isinstance(factor, Constant):
        scaled = _reals(operator, *(None if v.value is None else float(v.value) for v in (span, factor)))
        fits = scaled is not None and abs(scaled) < 2.0**63
        return Constant(int(scaled) if fits and scaled is not None else None, TIMESPAN)
    sql = f"TRY_CAST(trunc(CAST($1 AS DOUBLE) {operator} $2) AS BIGINT)"
    return apply(sql, (span, factor), TIMESPAN)
