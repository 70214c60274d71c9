"""Comparisons, as conditions: == and its kin, the operators on text, in, between.

Strings are never null. Of other types: == with null on one side is false and != is true, on both sides both
are null; < and its kin are null where a side is. Where only truth matters (``wanted``), null may be false,
which leaves the engine conditions that it can look up in a file's statistics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from gapless.query.kql.conversions import (
    as_type,
    certain_text,
    in_us,
    ticks,
    to_datetime,
    to_real,
    to_string,
    to_timespan,
)
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.lexer import words
from gapless.query.kql.logic import logical
from gapless.query.kql.numbers import arithmetic
from gapless.query.kql.relation import (
    BOOL,
    DYNAMIC,
    LONG,
    NUMBERS,
    REAL,
    STRING,
    Constant,
    Rows,
    Scalar,
    SubqueryContains,
)
from gapless.query.kql.sql import apply

_ORDERS = {"<", "<=", ">", ">="}
_TEXT_OPERATORS = words(
    """
    =~ !~ has !has has_cs !has_cs hasprefix !hasprefix hasprefix_cs !hasprefix_cs hassuffix
    !hassuffix hassuffix_cs !hassuffix_cs contains !contains contains_cs !contains_cs startswith
    !startswith startswith_cs !startswith_cs endswith !endswith endswith_cs !endswith_cs
    """
)
_WORD_CHARACTER = r"[\pL\pN]"
_NO_WORD_CHARACTER = r"[^\pL\pN]"


def compare(operator: str, left: Scalar, right: Scalar, wanted: bool, at: int) -> Scalar:
    """``left operator right``. Raises KqlError for types that it is not there for."""
    if operator == "matches regex":
        return _matches(left, right, at)
    if operator in _TEXT_OPERATORS:
        return text_test(operator, left, right, wanted, at)
    if operator not in ("==", "!=") and operator not in _ORDERS:
        raise unsupported(f"operator {operator}", at)
    mixed = {left.type.name, right.type.name} - {"int", "long", "bool"} == {
        "string"
    } and left.type != right.type
    if mixed and operator in _ORDERS:
        raise KqlError(f"{operator} is not there between text and numbers: convert one of them", at)
    left, right = _comparable(left, right, at)
    if left.type.name == "string":
        return _strings(operator, left, right, wanted)
    left, right = _same_form(left, right)
    if operator in _ORDERS:
        return _ordered(operator, left, right, at)
    return _equal(operator, left, right, wanted)


def _comparable(left: Scalar, right: Scalar, at: int) -> tuple[Scalar, Scalar]:
    """Both sides in one type."""
    kinds = (left.type.name, right.type.name)
    if kinds[0] == kinds[1] and kinds[0] != "dynamic":
        return left, right
    if set(kinds) <= NUMBERS:
        return (left, right) if "real" not in kinds else (to_real_or_same(left), to_real_or_same(right))
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


def to_real_or_same(value: Scalar) -> Scalar:
    """A number as a real."""
    return value if value.type.name == "real" else to_real(value)


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
        return Constant((left.value == right.value) == (operator == "=="), BOOL)
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
        outcome = {
            "==": left.value == right.value,
            "!=": left.value != right.value,
            "<": left.value < right.value,
            "<=": left.value <= right.value,
            ">": left.value > right.value,
            ">=": left.value >= right.value,
        }
        return Constant(outcome[operator], BOOL)
    if isinstance(left, Constant) and operator in ("==", "!="):
        left, right = right, left
    plain = isinstance(right, Constant) and right.value != ""
    if plain and operator == "==" and wanted:
        return apply("$1 = $2", (left, right), BOOL)
    if plain and operator == "!=":
        return apply("$1 IS DISTINCT FROM $2" if left.type.form else "$1 <> $2", (left, right), BOOL)
    sign = {"==": "=", "!=": "<>"}.get(operator, operator)
    return apply(f"$1 {sign} $2", (certain_text(left), certain_text(right)), BOOL)


# Text -------------------------------------------------------------------------------------------------------


def _text_side(value: Scalar, operator: str, at: int) -> Scalar:
    if value.type.name in ("string", "dynamic", "guid"):
        return to_string(value)
    raise KqlError(f"{operator} needs a string, not {value.type.name}: use tostring()", at)


def text_test(operator: str, left: Scalar, right: Scalar, wanted: bool, at: int) -> Scalar:
    """has, contains, startswith, endswith, =~ and their forms."""
    if operator in ("=~", "!~"):
        base, folded, negative = "equals", True, operator == "!~"
    else:
        negative = operator.startswith("!")
        base = operator.lstrip("!")
        folded = not base.endswith("_cs")
        base = base.removesuffix("_cs")
    text, needle = _text_side(left, operator, at), _text_side(right, operator, at)
    if negative or not wanted:
        text = certain_text(text)
    needle = certain_text(needle)
    if base.startswith("has"):
        found = _has_term(base, text, needle, folded)
    else:
        found = _by_position(base, text, needle, folded)
    return apply("NOT $1", (found,), BOOL) if negative else found


def _lowered(value: Scalar) -> Scalar:
    if isinstance(value, Constant) and value.value.isascii():
        return Constant(value.value.lower(), STRING)
    return apply("lower($1)", (value,), value.type)


def _by_position(base: str, text: Scalar, needle: Scalar, folded: bool) -> Scalar:
    sql = {
        "equals": "$1 = $2",
        "contains": "contains($1, $2)",
        "startswith": "starts_with($1, $2)",
        "endswith": "ends_with($1, $2)",
    }[base]
    if isinstance(needle, Constant) and needle.value == "":
        text = certain_text(text)
    if folded:
        text, needle = _lowered(text), _lowered(needle)
    return apply(sql, (text, needle), BOOL)


def _has_term(base: str, text: Scalar, needle: Scalar, folded: bool) -> Scalar:
    """A term begins and ends where letters and digits do; at an end of the needle that is neither, it may
    stand beside anything."""
    flags = "(?i)" if folded else ""
    if isinstance(needle, Constant):
        term = needle.value
        if term == "":
            return Constant(True, BOOL)
        start = f"(?:^|{_NO_WORD_CHARACTER})" if base != "hassuffix" and _is_word(term[0]) else ""
        end = f"(?:$|{_NO_WORD_CHARACTER})" if base != "hasprefix" and _is_word(term[-1]) else ""
        pattern = Constant(f"{flags}{start}{re2_literal(term)}{end}", STRING)
        side = (_lowered(text), _lowered(needle)) if folded else (text, needle)
        near = apply("contains($1, $2)", side, BOOL)
        return logical("and", [near, apply("regexp_matches($1, $2)", (text, pattern), BOOL)], 0)
    start = (
        f"CASE WHEN regexp_matches($2, '^{_WORD_CHARACTER}') THEN '(?:^|{_NO_WORD_CHARACTER})' ELSE '' END"
    )
    end = f"CASE WHEN regexp_matches($2, '{_WORD_CHARACTER}$') THEN '(?:$|{_NO_WORD_CHARACTER})' ELSE '' END"
    start = "''" if base == "hassuffix" else start
    end = "''" if base == "hasprefix" else end
    pattern_sql = f"concat('{flags}(?s)', {start}, regexp_escape($2), {end})"
    return apply(f"regexp_matches($1, {pattern_sql})", (text, needle), BOOL)


def _is_word(character: str) -> bool:
    return character.isalnum()


def re2_literal(text: str) -> str:
    """A regular expression that finds ``text`` alone."""
    return re.sub(r"([\\.+*?()|\[\]{}^$\-])", r"\\\1", text)


def _matches(left: Scalar, right: Scalar, at: int) -> Scalar:
    text = certain_text(_text_side(left, "matches regex", at))
    pattern = certain_text(_text_side(right, "matches regex", at))
    return apply("regexp_matches($1, $2)", (text, checked_regex(pattern, at)), BOOL)


def checked_regex(pattern: Scalar, at: int) -> Scalar:
    """A regular expression, which must be known, and one that both engines read alike."""
    if not isinstance(pattern, Constant):
        raise unsupported("a regular expression that is no constant", at)
    if found := re.search(r"\(\?(?:=|!|<=|<!)|\\[1-9]", pattern.value):
        raise unsupported(f"{found.group()} in a regular expression", at)
    return pattern


# Sets of values ---------------------------------------------------------------------------------------------


def _flattened(items: Sequence[Scalar]) -> tuple[list[Scalar], list[Scalar]]:
    """The single values, and the arrays that are not known yet, among ``items``."""
    single: list[Scalar] = []
    arrays: list[Scalar] = []
    for item in items:
        if isinstance(item, Constant) and isinstance(item.value, list):
            single.extend(_constant_item(each) for each in item.value)
        elif item.type.name == "dynamic" and not isinstance(item, Constant):
            arrays.append(item)
        elif isinstance(item, Constant) and item.type.name == "dynamic":
            single.append(_constant_item(item.value))
        else:
            single.append(item)
    return single, arrays


def _constant_item(value: Any) -> Scalar:
    if isinstance(value, bool):
        return Constant(value, BOOL)
    if isinstance(value, str):
        return Constant(value, STRING)
    if isinstance(value, int):
        return Constant(value, LONG)
    if isinstance(value, float):
        return Constant(value, REAL)
    return Constant(value, DYNAMIC)


def is_in(operator: str, value: Scalar, items: Sequence[Scalar], wanted: bool, at: int) -> Scalar:
    """in, !in, in~, !in~ over written values and arrays; never null."""
    negative, folded = operator.startswith("!"), operator.endswith("~")
    single, arrays = _flattened(items)
    if folded or (value.type.name == "dynamic" and any(each.type.name == "string" for each in single)):
        value = _text_side(value, operator, at)
    found: list[Scalar] = []
    if single:
        found.append(_among(value, single, folded, wanted and not negative, at))
    for array in arrays:
        listed = "CASE WHEN json_type($2) = 'ARRAY' THEN $2 ELSE concat('[', $2, ']') END"
        texts = f"from_json({listed}, '[\"VARCHAR\"]')"
        text = certain_text(to_string(value))
        if value.type.name not in ("string", "guid", "dynamic", "int", "long"):
            raise unsupported(f"{operator} of {value.type.name} in an array", at)
        sql = f"list_contains({texts}, $1)"
        if folded:
            sql = f"list_contains(list_transform({texts}, lambda each: lower(each)), lower($1))"
        found.append(apply(f"coalesce({sql}, FALSE)", (text, array), BOOL))
    if not found:
        return Constant(negative, BOOL)
    any_of = logical("or", found, at)
    return apply("NOT $1", (any_of,), BOOL) if negative else any_of


def _among(value: Scalar, items: Sequence[Scalar], folded: bool, wanted: bool, at: int) -> Scalar:
    if all(
        isinstance(item, Constant) and item.type.name == "string" for item in items
    ) and value.type.name in (
        "string",
        "guid",
    ):
        texts = [item.value for item in items if isinstance(item, Constant)]
        plain = wanted and "" not in texts
        text = to_string(value) if plain else certain_text(to_string(value))
        if folded:
            text = _lowered(text)
            options: list[Scalar] = [_lowered(Constant(each, STRING)) for each in texts]
        else:
            options = [Constant(each, STRING) for each in texts]
        places = ", ".join(f"${index}" for index in range(2, len(options) + 2))
        return apply(f"$1 IN ({places})", (text, *options), BOOL)
    same = partial(compare, "=~" if folded else "==", value, wanted=True, at=at)
    tests = [apply("coalesce($1, FALSE)", (same(item),), BOOL) for item in items]
    return logical("or", tests, at)


def is_in_rows(operator: str, value: Scalar, rows: Rows, at: int) -> Scalar:
    """in, !in, in~, !in~ over the first column of a table."""
    if not rows.columns:
        raise KqlError("the table has no column to look into", at)
    member: Scalar = rows.columns[0].ref()
    negative, folded = operator.startswith("!"), operator.endswith("~")
    if folded:
        value, member = _text_side(value, operator, at), _text_side(member, operator, at)
    if member.type.name == "dynamic":
        member = to_string(member)
    value, member = _comparable(value, member, at)
    value, member = certain_text(ticks(value)), certain_text(ticks(member))
    if folded:
        value, member = _lowered(value), _lowered(member)
    found = SubqueryContains(value, rows, member)
    return apply("NOT $1", (found,), BOOL) if negative else found


def contains_any(operator: str, value: Scalar, items: Sequence[Scalar], at: int) -> Scalar:
    """has_any and has_all."""
    negative = operator.startswith("!")
    is_all = operator.lstrip("!") == "has_all"
    single, arrays = _flattened(items)
    text = certain_text(_text_side(value, operator, at))
    found = [text_test("has", text, item, False, at) for item in single]
    for array in arrays:
        found.append(_has_of_array(text, array, is_all))
    if not found:
        raise KqlError(f"{operator} needs values to look for", at)
    result = logical("and" if is_all else "or", found, at)
    return apply("NOT $1", (result,), BOOL) if negative else result


def _has_of_array(text: Scalar, array: Scalar, is_all: bool) -> Scalar:
    terms = (
        "coalesce(from_json(CASE WHEN json_type($2) = 'ARRAY' THEN $2 ELSE '[]' END, '[\"VARCHAR\"]'), [])"
    )
    start = f"CASE WHEN regexp_matches(t, '^{_WORD_CHARACTER}') THEN '(?:^|{_NO_WORD_CHARACTER})' ELSE '' END"
    end = f"CASE WHEN regexp_matches(t, '{_WORD_CHARACTER}$') THEN '(?:$|{_NO_WORD_CHARACTER})' ELSE '' END"
    pattern = f"concat('(?i)', {start}, regexp_escape(coalesce(t, '')), {end})"
    kept = f"list_filter({terms}, lambda t: regexp_matches($1, {pattern}))"
    wanted = f"= len({terms})" if is_all else "> 0"
    return apply(f"len({kept}) {wanted}", (text, array), BOOL)


def is_between(value: Scalar, low: Scalar, high: Scalar, negative: bool, wanted: bool, at: int) -> Scalar:
    """``value between (low .. high)``, both included. A timespan for ``high`` counts from ``low``."""
    if high.type.name == "timespan" and low.type.name == "datetime":
        high = arithmetic("+", low, high, at)
    bounds = [compare(">=", value, low, wanted, at), compare("<=", value, high, wanted, at)]
    inside = logical("and", bounds, at)
    return apply("NOT $1", (inside,), BOOL) if negative else inside
