"""Functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    LONG,
    REAL,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.json_sql import array_text, is_array, items, let

FAMILY = Family("Arrays")


@FAMILY.function(
    "array_length(array: dynamic): long", "The number of items; null for what is no array.", ["arraylength"]
)
def _array_length(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = "CASE WHEN json_type($1) = 'ARRAY' THEN CAST(json_array_length($1) AS BIGINT) END"
    return apply(sql, arguments, LONG)


@FAMILY.function("pack_array(...values: any): dynamic", "An array of the values.")
def _pack_array(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if not arguments:
        return Constant([], DYNAMIC)
    values = [to_dynamic(value) for value in arguments]
    parts = ", ".join(f"coalesce(${index}, 'null')" for index in range(1, len(values) + 1))
    return apply(f"concat('[', array_to_string([{parts}], ','), ']')", values, DYNAMIC)


@FAMILY.function("array_concat(...arrays: dynamic): dynamic", "One array of all items.")
def _array_concat(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    lists = ", ".join(f"coalesce({items(f'${index}')}, [])" for index in range(1, len(arguments) + 1))
    return apply(array_text(f"flatten([{lists}])"), arguments, DYNAMIC)


@FAMILY.function(
    "array_slice(array: dynamic, start: long, end: long): dynamic",
    "The items from start to end, both included.",
)
def _array_slice(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    size = f"len({items('$1')})"
    # Places beyond either end are brought near it, so that nothing overflows.
    first, last = (f"least(greatest({place}, -{size} - 1), {size})" for place in ("$2", "$3"))
    start = f"CASE WHEN $2 < 0 THEN greatest({first} + {size}, 0) ELSE {first} END + 1"
    end = f"CASE WHEN $3 < 0 THEN {last} + {size} ELSE {last} END + 1"
    return apply(array_text(f"list_slice({items('$1')}, {start}, greatest({end}, 0))"), arguments, DYNAMIC)


@FAMILY.function("array_reverse(array: dynamic): dynamic", "The items from last to first.")
def _array_reverse(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(array_text(f"list_reverse({items('$1')})"), arguments, DYNAMIC)


@FAMILY.function(
    "array_index_of(array: dynamic, value: any, start?: long, length?: long, occurrence?: long): long",
    "The position, from 0, of a value; -1 if absent. A negative start counts from the end; length -1 means "
    "all.",
)
def _array_index_of(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    array, sought = arguments[0], to_dynamic(arguments[1])
    defaults = (Constant(0, LONG), Constant(-1, LONG), Constant(1, LONG))
    options = [*arguments[2:], *defaults[len(arguments) - 2 :]]
    first = "CASE WHEN $3 < 0 THEN greatest(len(texts) + $3, 0) ELSE $3 END"
    inside = f"i > {first} AND ($4 < 0 OR i <= {first} + $4)"
    places = "list_transform(texts, lambda text, i: CASE WHEN text = CAST($2 AS VARCHAR) THEN i END)"
    found = f"list_extract(list_filter({places}, lambda i: i IS NOT NULL AND {inside}), $5)"
    texts = f"list_transform({items('$1')}, lambda each: CAST(each AS VARCHAR))"
    sql = let("texts", texts, f"CAST(coalesce({found}, 0) - 1 AS BIGINT)")
    valid = f"{is_array('$1')} AND $4 >= -1 AND $5 > 0"
    return apply(f"CASE WHEN {valid} THEN {sql} END", (array, sought, *options), LONG)


@FAMILY.function("array_sum(array: dynamic): real", "The sum of the numbers; null where an item is none.")
def _array_sum(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    numbers = f"list_transform({items('$1')}, lambda each: TRY_CAST(CAST(each AS VARCHAR) AS DOUBLE))"
    proper = f"len(list_filter({numbers}, lambda each: each IS NULL)) = 0"
    return apply(f"CASE WHEN {proper} THEN list_sum({numbers}) END", arguments, REAL)


@FAMILY.function(
    "array_iff(conditions: dynamic, then: any, otherwise: any): dynamic",
    "Item by item, one or the other; a number is true if it is not 0.",
    ["array_iif"],
)
def _array_iff(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    number = "WHEN json_type(c) IN ('UBIGINT', 'BIGINT', 'DOUBLE') THEN CAST(c AS DOUBLE) <> 0"
    truth = f"CASE WHEN json_type(c) = 'BOOLEAN' THEN CAST(c AS VARCHAR) = 'true' {number} END"
    chosen = f"CASE WHEN {truth} THEN {_item('$2')} WHEN NOT ({truth}) THEN {_item('$3')} END"
    sql = array_text(f"list_transform({items('$1')}, lambda c, i: {chosen})")
    values = [to_dynamic(argument) for argument in arguments]
    return apply(f"CASE WHEN {is_array('$1')} THEN {sql} END", values, DYNAMIC)


def _item(place: str) -> str:
    """SQL: the item i of an array; what is no array, itself."""
    return f"CASE WHEN {is_array(place)} THEN ({items(place)})[i] ELSE CAST({place} AS JSON) END"


@FAMILY.function(
    "zip(...arrays: dynamic): dynamic", "An array of the arrays' first items, of their second, ..."
)
def _zip(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs two arrays at least")
    places = [items(f"${index}") for index in range(1, len(arguments) + 1)]
    longest = f"greatest({', '.join(f'len({place})' for place in places)})"
    row = ", ".join(f"({place})[i]" for place in places)
    return apply(
        array_text(f"list_transform(range(1, {longest} + 1), lambda i: [{row}])"), arguments, DYNAMIC
    )


@FAMILY.function("repeat(value: any, count: long): dynamic", "An array of so many times the value.")
def _repeat(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    repeated = "list_transform(range(0, least($2, 1048576)), lambda i: CAST(coalesce($1, 'null') AS JSON))"
    return apply(array_text(repeated), (to_dynamic(arguments[0]), arguments[1]), DYNAMIC)
