"""Functions of series that fill what is missing: nulls, or another value that stands for what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, REAL, Constant, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.json_sql import array_text, is_array, items, let, numbers, numbers_text

FAMILY = Family("Series with gaps")


def _missing(call: Call, arguments: Sequence[Scalar], at: int) -> str:
    """SQL: whether an item is missing; null is, unless something else stands for it."""
    if len(arguments) <= at:
        return "item IS NULL"
    value = call.constant(arguments[at], "what stands for a missing item").value
    if value is None:
        return "item IS NULL"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise call.unsupported("what stands for a missing item, where it is no number,")
    return f"coalesce(TRY_CAST(item AS DOUBLE) = CAST({value!r} AS DOUBLE), FALSE)"


def _present(missing: str) -> str:
    """SQL: the position of each item of ``all_items``, from 1; NULL for one that is missing."""
    return f"list_transform(all_items, lambda item, i: CASE WHEN NOT ({missing}) THEN i END)"


def _last_before(positions: str) -> str:
    """SQL: for each position, itself or the last before it that is not NULL."""
    return (
        f"list_reduce({positions}, lambda found, place: list_append(found, coalesce(place, found[-1])), "
        "CAST([] AS BIGINT[]))"
    )


def _first_after(positions: str) -> str:
    """SQL: for each position, itself or the first after it that is not NULL."""
    return f"list_reverse({_last_before(f'list_reverse({positions})')})"


def _filled(direction: str, call: Call, arguments: Sequence[Scalar]) -> Scalar:
    missing = _missing(call, arguments, 1)
    find = _last_before if direction == "forward" else _first_after
    chosen = f"list_transform({find(_present(missing))}, lambda place, i: all_items[coalesce(place, i)])"
    filled = let("all_items", items("$1"), array_text(chosen))
    return apply(f"CASE WHEN {is_array('$1')} THEN {filled} END", arguments[:1], DYNAMIC)


@FAMILY.function(
    "series_fill_forward(series: dynamic, missing?: any): dynamic",
    "Each missing item is the last before it.",
)
def _fill_forward(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _filled("forward", call, arguments)


@FAMILY.function(
    "series_fill_backward(series: dynamic, missing?: any): dynamic",
    "Each missing item is the first after it.",
)
def _fill_backward(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _filled("backward", call, arguments)


@FAMILY.function(
    "series_fill_const(series: dynamic, value: any, missing?: any): dynamic",
    "Each missing item is a value.",
)
def _fill_const(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    missing = _missing(call, arguments, 2)
    chosen = (
        f"list_transform({items('$1')}, lambda item: CASE WHEN {missing} THEN CAST($2 AS JSON) ELSE item END)"
    )
    value = to_dynamic(arguments[1])
    return apply(f"CASE WHEN {is_array('$1')} THEN {array_text(chosen)} END", (arguments[0], value), DYNAMIC)


@FAMILY.function(
    "series_fill_linear(series: dynamic, missing?: any, fill_edges?: bool, value?: any): dynamic",
    "Each missing item lies on the line between its neighbours; all are the value, 0 by default, if none is "
    "there.",
)
def _fill_linear(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    missing = _missing(call, arguments, 1)
    edges = call.constant(arguments[2], "whether to fill edges").value if len(arguments) > 2 else True
    value = arguments[3] if len(arguments) > 3 else Constant(0.0, REAL)
    a, b = "all_numbers[ends.before[i]]", "all_numbers[ends.after[i]]"
    share = "(i - ends.before[i]) / (ends.after[i] - ends.before[i])"
    outside = f"coalesce({a}, {b})" if edges else "NULL"
    point = (
        f"CASE WHEN ends.before[i] = i THEN {a} WHEN ends.before[i] IS NULL OR ends.after[i] IS NULL "
        f"THEN {outside} ELSE {a} + ({b} - {a}) * {share} END"
    )
    found = f"{{'before': {_last_before('present')}, 'after': {_first_after('present')}}}"
    line = let("ends", found, f"list_transform(all_numbers, lambda x, i: {point})")
    line = let("all_numbers", numbers("$1"), line)
    # An array of whole numbers stays one.
    whole = "len(list_filter(all_items, lambda item: json_type(item) = 'DOUBLE')) = 0"
    integers = array_text(f"list_transform({line}, lambda x: CAST(trunc(x) AS BIGINT))")
    none = "len(list_filter(present, lambda place: place IS NOT NULL)) = 0"
    constant = array_text("list_transform(all_items, lambda item: CAST($2 AS JSON))")
    filled = f"CASE WHEN {none} THEN {constant} WHEN {whole} THEN {integers} ELSE {numbers_text(line)} END"
    filled = let("all_items", items("$1"), let("present", _present(missing), filled))
    return apply(f"CASE WHEN {is_array('$1')} THEN {filled} END", (arguments[0], to_dynamic(value)), DYNAMIC)
