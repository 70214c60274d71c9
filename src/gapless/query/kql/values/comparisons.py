"""Comparisons, as conditions: == and its kin.

Strings are never null. Of other types: == with null on one side is false and != is true, on both sides both
are null; < and its kin are null where a side is. Where only truth matters (``wanted``), null may be false,
which leaves the engine conditions that it can look up in a file's statistics.
"""

from __future__ import annotations

import math
import operator as order

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.scalars import (
    BOOL,
    NUMBERS,
    REAL,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text, in_us, ticks
from gapless.query.kql.values.text_tests import TEXT_OPERATORS, matches_regex, text_test
from gapless.query.kql.values.to_number import to_real
from gapless.query.kql.values.to_text import to_string
from gapless.query.kql.values.to_time import to_datetime, to_timespan

_ORDERS = {"<", "<=", ">", ">="}
_COMPARE = {
    "==": order.eq,
    "!=": order.ne,
    "<": order.lt,
    "<=": order.le,
    ">": order.gt,
    ">=": order.ge,
}


def compare(operator: str, left: Scalar, right: Scalar, wanted: bool, at: int) -> Scalar:
    """``left operator right``. Raises KqlError for types that it is not there for."""
    if operator == "matches regex":
        return matches_regex(left, right, at)
    if operator in TEXT_OPERATORS:
        return text_test(operator, left, right, wanted, at)
    if operator not in ("==", "!=") and operator not in _ORDERS:
        raise unsupported(f"operator {operator}", at)
    mixed = {left.type.name, right.type.name} - {"int", "long", "bool"} == {
        "string"
    } and left.type != right.type
    if mixed and operator in _ORDERS:
        raise KqlError(f"{operator} is not there between text and numbers: convert one of them", at)
    left, right = comparable(left, right, at)
    if left.type.name == "string":
        return _strings(operator, left, right, wanted)
    left, right = _same_form(left, right)
    if operator in _ORDERS:
        return _ordered(operator, left, right, at)
    return _equal(operator, left, right, wanted)


def comparable(left: Scalar, right: Scalar, at: int) -> tuple[Scalar, Scalar]:
    """Both sides in one type."""
    kinds = (left.type.name, right.type.name)
    if kinds[0] == kinds[1] and kinds[0] != "dynamic":
        return left, right
    if set(kinds) <= NUMBERS:
        return (left, right) if "real" not in kinds else (as_type(left, REAL), as_type(right, REAL))
    if kinds[0] == "dynamic" and kinds[1] != "dynamic":
        return _of_dynamic(left, right), right
    if kinds[1] == "dynamic" and kinds[0] != "dynamic":
        return left, _of_dynamic(right, left)
    if set(kinds) == {"string", "guid"}:
        return to_string(left), to_string(right)
    if kinds[0] == "string" and kinds[1] in ("int", "long", "bool") and isinstance(right, Constant):
        return left, _as_written(right)
    if kinds[1] == "string" and kinds[0] in ("int", "long", "bool") and isinstance(left, Constant):
        return _as_written(left), right
    if kinds[0] in ("int", "long", "bool") and isinstance(right, Constant):
        return left, as_type(right, left.type)
    if kinds[1] in ("int", "long", "bool") and isinstance(left, Constant):
        return as_type(left, right.type), right
    if set(kinds) == {"string", "datetime"} or set(kinds) == {"string", "timespan"}:
        convert = to_datetime if "datetime" in kinds else to_timespan
        if isinstance(left if kinds[0] == "string" else right, Constant):
            return (convert(left), right) if kinds[0] == "string" else (left, convert(right))
    raise KqlError(f"{kinds[0]} and {kinds[1]} cannot be compared: convert one of them", at)


def _as_written(value: Constant) -> Scalar:
    """The text of a number or a truth, as a column of text would have it."""
    return Constant("" if value.value is None else str(value.value), STRING)


def _of_dynamic(value: Scalar, other: Scalar) -> Scalar:
    if other.type.name in ("int", "long"):
        return to_real(value)
    return as_type(value, other.type)


def _same_form(left: Scalar, right: Scalar) -> tuple[Scalar, Scalar]:
    """Datetimes in the form of the table's column, where a constant on the other side allows it."""
    if left.type.form == right.type.form:
        return left, right
    if left.type.form == "us" and (exact := in_us(right)) is not None:
        return left, exact
    if right.type.form == "us" and (exact := in_us(left)) is not None:
        return exact, right
    return ticks(left), ticks(right)


def _not_nan(value: Scalar) -> bool:
    """Whether a value is surely not NaN."""
    if value.type.name != "real":
        return True
    return isinstance(value, Constant) and not (value.value is not None and math.isnan(value.value))


def _ordered(operator: str, left: Scalar, right: Scalar, at: int) -> Scalar:
    if left.type.name in ("bool", "guid", "dynamic"):
        raise KqlError(f"{operator} is not there for {left.type.name}", at)
    if isinstance(left, Constant) and isinstance(right, Constant):
        if left.value is None or right.value is None:
            return Constant(None, BOOL)
        return Constant(_COMPARE[operator](left.value, right.value), BOOL)
    # The engine holds NaN for the greatest number; here no comparison with it is true.
    sql = f"$1 {operator} $2"
    sql += "" if _not_nan(left) else " AND NOT isnan($1)"
    sql += "" if _not_nan(right) else " AND NOT isnan($2)"
    return apply(sql, (left, right), BOOL)


def _equal(operator: str, left: Scalar, right: Scalar, wanted: bool) -> Scalar:
    if isinstance(left, Constant) and isinstance(right, Constant):
        if left.value is None or right.value is None:
            both = left.value is None and right.value is None
            return Constant(None if both else operator == "!=", BOOL)
        return Constant(_COMPARE[operator](left.value, right.value), BOOL)
    if isinstance(left, Constant):
        left, right = right, left
    nan_free = _not_nan(left) or _not_nan(right)
    known = isinstance(right, Constant) and right.value is not None
    if operator == "==":
        sql = "$1 = $2" if nan_free else "$1 = $2 AND NOT isnan($1)"
        if wanted:
            return apply(sql, (left, right), BOOL)
        if known:
            return apply(f"coalesce({sql}, FALSE)", (left, right), BOOL)
        return apply(
            f"CASE WHEN $1 IS NOT NULL OR $2 IS NOT NULL THEN coalesce({sql}, FALSE) END", (left, right), BOOL
        )
    sql = "$1 IS DISTINCT FROM $2" if nan_free else "($1 IS DISTINCT FROM $2 OR isnan($1))"
    if wanted or known:
        return apply(sql, (left, right), BOOL)
    return apply(f"CASE WHEN $1 IS NOT NULL OR $2 IS NOT NULL THEN {sql} END", (left, right), BOOL)


def _strings(operator: str, left: Scalar, right: Scalar, wanted: bool) -> Scalar:
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Constant(_COMPARE[operator](left.value, right.value), BOOL)
    if isinstance(left, Constant) and operator in ("==", "!="):
        left, right = right, left
    plain = isinstance(right, Constant) and right.value != ""
    if plain and operator == "==" and wanted:
        return apply("$1 = $2", (left, right), BOOL)
    if plain and operator == "!=":
        return apply("$1 IS DISTINCT FROM $2" if left.type.form else "$1 <> $2", (left, right), BOOL)
    sign = {"==": "=", "!=": "<>"}.get(operator, operator)
    return apply(f"$1 {sign} $2", (certain_text(left), certain_text(right)), BOOL)
