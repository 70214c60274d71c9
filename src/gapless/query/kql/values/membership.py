"""in, has_any, has_all, between: a value among several; never null."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Rows,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    LONG,
    REAL,
    STRING,
    Constant,
    Scalar,
    SubqueryContains,
)
from gapless.query.kql.values.comparisons import comparable, compare
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.logic import logical
from gapless.query.kql.values.numbers import arithmetic
from gapless.query.kql.values.text_tests import has_of_array, lowered, text_side, text_test
from gapless.query.kql.values.to_text import to_string


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
        value = text_side(value, operator, at)
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
            text = lowered(text)
            options: list[Scalar] = [lowered(Constant(each, STRING)) for each in texts]
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
        value, member = text_side(value, operator, at), text_side(member, operator, at)
    if member.type.name == "dynamic":
        member = to_string(member)
    value, member = comparable(value, member, at)
    value, member = certain_text(ticks(value)), certain_text(ticks(member))
    if folded:
        value, member = lowered(value), lowered(member)
    found = SubqueryContains(value, rows, member)
    return apply("NOT $1", (found,), BOOL) if negative else found


def contains_any(operator: str, value: Scalar, items: Sequence[Scalar], at: int) -> Scalar:
    """has_any and has_all."""
    negative = operator.startswith("!")
    is_all = operator.lstrip("!") == "has_all"
    single, arrays = _flattened(items)
    text = certain_text(text_side(value, operator, at))
    found = [text_test("has", text, item, False, at) for item in single]
    for array in arrays:
        found.append(has_of_array(text, array, is_all))
    if not found:
        raise KqlError(f"{operator} needs values to look for", at)
    result = logical("and" if is_all else "or", found, at)
    return apply("NOT $1", (result,), BOOL) if negative else result


def is_between(value: Scalar, low: Scalar, high: Scalar, negative: bool, wanted: bool, at: int) -> Scalar:
    """``value between (low .. high)``, both included. A timespan for ``high`` counts from ``low``."""
    if high.type.name == "timespan" and low.type.name == "datetime":
        high = arithmetic("+", low, high, at)
    bounds = [compare(">=", value, low, wanted, at), compare("<=", value, high, wanted, at)]
    inside = logical("and", bounds, at)
    return apply("NOT $1", (inside,), BOOL) if negative else inside
