"""Functions of dynamic values: arrays and bags."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from gapless.query.kql.calls import Call
from gapless.query.kql.conversions import as_type, to_dynamic, to_string
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relation import BOOL, DYNAMIC, LONG, REAL, STRING, TYPES, Constant, Scalar, Type
from gapless.query.kql.sql import apply

FAMILY = Family("Dynamic values")


def items(place: str) -> str:
    """SQL: an array's items as JSON; NULL for what is no array."""
    return f"from_json(CASE WHEN json_type({place}) = 'ARRAY' THEN {place} END, '[\"JSON\"]')"


def entries(place: str) -> str:
    """SQL: a bag's members as (k, v)."""
    key = "replace(replace(key, '~', '~0'), '/', '~1')"
    return (
        f"list_transform(json_keys(CASE WHEN json_type({place}) = 'OBJECT' THEN {place} END), "
        f"lambda key: {{'k': key, 'v': json_extract({place}, concat('/', {key}))}})"
    )


def bag_text(list_of_entries: str) -> str:
    """SQL: the bag of a list of (k, v); the first of several values for one key."""
    keys = f"list_transform({list_of_entries}, lambda each: each.k)"
    first = f"list_filter({list_of_entries}, lambda e, i: i = list_position({keys}, e.k))"
    texts = (
        f"list_transform({first}, lambda e: concat(CAST(to_json(e.k) AS VARCHAR), ':', CAST(e.v AS VARCHAR)))"
    )
    return f"concat('{{', array_to_string({texts}, ','), '}}')"


def _as_array(listed: str) -> str:
    return f"CAST(to_json({listed}) AS VARCHAR)"


class _Invalid(ValueError):
    pass


def _refuse(text: str) -> Any:
    raise _Invalid(text)


@FAMILY.function(
    "parse_json(text: any): dynamic",
    "The value of a JSON text; the text itself where it is none.",
    ["parsejson", "todynamic", "toobject"],
)
def _parse_json(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name == "dynamic":
        # A string inside may be JSON itself.
        inner = "json_extract_string($1, '$')"
        parsed = f"CASE WHEN json_valid({inner}) THEN nullif({inner}, 'null') ELSE $1 END"
        return apply(f"CASE WHEN json_type($1) = 'VARCHAR' THEN {parsed} ELSE $1 END", (value,), DYNAMIC)
    if value.type.name != "string":
        return to_dynamic(value)
    if isinstance(value, Constant):
        text = value.value.strip()
        try:
            return Constant(json.loads(text, parse_constant=_refuse) if text else None, DYNAMIC)
        except (ValueError, RecursionError):
            return Constant(value.value, DYNAMIC)
    parsed = "CASE WHEN json_valid($1) THEN nullif(trim($1), 'null') ELSE CAST(to_json($1) AS VARCHAR) END"
    return apply(f"CASE WHEN trim($1) <> '' THEN {parsed} END", (value,), DYNAMIC)


@FAMILY.function("dynamic_to_json(value: dynamic): string", "The JSON text of a dynamic value.")
def _dynamic_to_json(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply("coalesce(CAST(json($1) AS VARCHAR), 'null')", arguments, STRING)


@FAMILY.function(
    "array_length(array: dynamic): long", "The number of items; null for what is no array.", ["arraylength"]
)
def _array_length(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = "CASE WHEN json_type($1) = 'ARRAY' THEN CAST(json_array_length($1) AS BIGINT) END"
    return apply(sql, arguments, LONG)


@FAMILY.function("bag_keys(bag: dynamic): dynamic", "The names of the members.")
def _bag_keys(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = f"CASE WHEN json_type($1) = 'OBJECT' THEN {_as_array('json_keys($1)')} END"
    return apply(sql, arguments, DYNAMIC)


@FAMILY.function("bag_has_key(bag: dynamic, key: string): bool", "Whether there is a member of that name.")
def _bag_has_key(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = "coalesce(list_contains(json_keys(CASE WHEN json_type($1) = 'OBJECT' THEN $1 END), $2), FALSE)"
    return apply(sql, arguments, BOOL)


@FAMILY.function(
    "bag_merge(...bags: dynamic): dynamic", "One bag of all members; the first value for a name wins."
)
def _bag_merge(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs two bags at least")
    lists = ", ".join(f"coalesce({entries(f'${index}')}, [])" for index in range(1, len(arguments) + 1))
    return apply(bag_text(f"flatten([{lists}])"), arguments, DYNAMIC)


@FAMILY.function(
    "bag_remove_keys(bag: dynamic, keys: dynamic): dynamic", "Without the members of those names."
)
def _bag_remove_keys(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    keys = call.constant(arguments[1], "a list of names").value
    if not isinstance(keys, list) or not all(
        isinstance(key, str) and not key.startswith("$") for key in keys
    ):
        raise call.unsupported("a path among the names")
    kept = f"list_filter({entries('$1')}, lambda e: NOT list_contains(from_json($2, '[\"VARCHAR\"]'), e.k))"
    return apply(f"CASE WHEN json_type($1) = 'OBJECT' THEN {bag_text(kept)} END", arguments, DYNAMIC)


@FAMILY.function(
    "bag_pack(...members: any): dynamic", "A bag of names and values in turn.", ["pack", "pack_dictionary"]
)
def _bag_pack(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if not arguments or len(arguments) % 2:
        raise call.error("needs names and values in turn")
    if not all(name.type.name == "string" for name in arguments[::2]):
        raise call.error("needs strings as names")
    return _packed(arguments[::2], arguments[1::2])


def _packed(names: Sequence[Scalar], values: Sequence[Scalar]) -> Scalar:
    if all(isinstance(name, Constant) for name in names):
        distinct = {name.value for name in names if isinstance(name, Constant)}
        if len(distinct) == len(names):
            return _joined_bag(names, values)
    count = len(names)
    members = ", ".join(
        f"{{'k': ${index}, 'v': CAST(coalesce(${count + index}, 'null') AS JSON)}}"
        for index in range(1, count + 1)
    )
    return apply(bag_text(f"[{members}]"), (*names, *(to_dynamic(value) for value in values)), DYNAMIC)


def _joined_bag(names: Sequence[Scalar], values: Sequence[Scalar]) -> Scalar:
    count = len(names)
    keys: list[Scalar] = []
    for index, name in enumerate(names):
        assert isinstance(name, Constant)
        key = json.dumps(name.value, ensure_ascii=False)
        keys.append(Constant(f"{',' if index else ''}{key}:", STRING))
    parts = ", ".join(f"${at}, coalesce(${count + at}, 'null')" for at in range(1, count + 1))
    return apply(f"concat('{{', {parts}, '}}')", (*keys, *(to_dynamic(value) for value in values)), DYNAMIC)


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
    return apply(_as_array(f"flatten([{lists}])"), arguments, DYNAMIC)


@FAMILY.function(
    "array_slice(array: dynamic, start: long, end: long): dynamic",
    "The items from start to end, both included.",
)
def _array_slice(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    size = f"len({items('$1')})"
    start = f"CASE WHEN $2 < 0 THEN greatest($2 + {size}, 0) ELSE $2 END + 1"
    end = f"CASE WHEN $3 < 0 THEN $3 + {size} ELSE $3 END + 1"
    return apply(_as_array(f"list_slice({items('$1')}, {start}, greatest({end}, 0))"), arguments, DYNAMIC)


@FAMILY.function("array_reverse(array: dynamic): dynamic", "The items from last to first.")
def _array_reverse(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(_as_array(f"list_reverse({items('$1')})"), arguments, DYNAMIC)


def _sorted(arguments: Sequence[Scalar], direction: str) -> Scalar:
    # Numbers by their value, texts by their characters. An array of both, or of others, has no order here: no
    # array is a UUID, so that branch ends the query.
    texts = "from_json($1, '[\"VARCHAR\"]')"
    kinds = f"list_distinct(list_transform({items('$1')}, lambda each: json_type(each)))"
    numeric = f"len(list_filter({kinds}, lambda k: k NOT IN ('UBIGINT', 'BIGINT', 'DOUBLE'))) = 0"
    textual = f"len(list_filter({kinds}, lambda k: k <> 'VARCHAR')) = 0"
    pairs = f"list_transform({items('$1')}, lambda each: {{'n': CAST(each AS DOUBLE), 'j': each}})"
    by_number = f"list_transform(list_sort({pairs}, '{direction}'), lambda each: each.j)"
    sql = (
        f"CASE WHEN {numeric} THEN {_as_array(by_number)}"
        f" WHEN {textual} THEN {_as_array(f'''list_sort({texts}, '{direction}')''')}"
        " WHEN json_type($1) = 'ARRAY' THEN CAST(from_json_strict($1, '\"UUID\"') AS VARCHAR) END"
    )
    return apply(sql, arguments, DYNAMIC)


@FAMILY.function(
    "array_index_of(array: dynamic, value: any, start?: long): long",
    "The position, from 0, of a value; -1 if absent.",
)
def _array_index_of(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) > 2:
        raise call.unsupported("a start")
    texts = f"list_transform({items('$1')}, lambda each: CAST(each AS VARCHAR))"
    sql = f"coalesce(list_position({texts}, CAST($2 AS VARCHAR)), 0) - 1"
    sought = to_dynamic(arguments[1])
    return apply(
        f"CASE WHEN json_type($1) = 'ARRAY' THEN CAST({sql} AS BIGINT) END", (arguments[0], sought), LONG
    )


@FAMILY.function("array_sum(array: dynamic): real", "The sum of the numbers; null where an item is none.")
def _array_sum(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    numbers = f"list_transform({items('$1')}, lambda each: TRY_CAST(CAST(each AS VARCHAR) AS DOUBLE))"
    proper = f"len(list_filter({numbers}, lambda each: each IS NULL)) = 0"
    return apply(f"CASE WHEN {proper} THEN list_sum({numbers}) END", arguments, REAL)


@FAMILY.function("set_union(...arrays: dynamic): dynamic", "The different items of all arrays.")
def _set_union(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    lists = ", ".join(f"coalesce({items(f'${index}')}, [])" for index in range(1, len(arguments) + 1))
    return apply(_first_of_each(f"flatten([{lists}])"), arguments, DYNAMIC)


def _first_of_each(listed: str, condition: str = "TRUE") -> str:
    texts = f"list_transform({listed}, lambda each: CAST(each AS VARCHAR))"
    kept = f"list_filter({texts}, lambda e, i: i = list_position({texts}, e) AND {condition})"
    return f"concat('[', array_to_string({kept}, ','), ']')"


@FAMILY.function("set_intersect(...arrays: dynamic): dynamic", "The different items that all arrays have.")
def _set_intersect(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _set_by(arguments, "list_contains({texts}, e)")


@FAMILY.function(
    "set_difference(...arrays: dynamic): dynamic", "The different items of the first array alone."
)
def _set_difference(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _set_by(arguments, "NOT list_contains({texts}, e)")


def _set_by(arguments: Sequence[Scalar], condition: str) -> Scalar:
    conditions = []
    for index in range(2, len(arguments) + 1):
        texts = f"list_transform(coalesce({items(f'${index}')}, []), lambda each: CAST(each AS VARCHAR))"
        conditions.append(condition.format(texts=texts))
    return apply(
        _first_of_each(f"coalesce({items('$1')}, [])", " AND ".join(conditions) or "TRUE"), arguments, DYNAMIC
    )


@FAMILY.function("set_has_element(set: dynamic, value: any): bool", "Whether an array has a value.")
def _set_has_element(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    texts = f"list_transform({items('$1')}, lambda each: CAST(each AS VARCHAR))"
    sought = to_dynamic(arguments[1])
    return apply(f"list_contains({texts}, CAST($2 AS VARCHAR))", (arguments[0], sought), BOOL)


@FAMILY.function("jaccard_index(a: dynamic, b: dynamic): real", "How alike two sets are, from 0 to 1.")
def _jaccard_index(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other = (
        f"list_distinct(list_transform({items(place)}, lambda each: CAST(each AS VARCHAR)))"
        for place in ("$1", "$2")
    )
    both = f"len(list_intersect({one}, {other}))"
    return apply(f"{both} / nullif(CAST(len({one}) + len({other}) - {both} AS DOUBLE), 0)", arguments, REAL)


@FAMILY.function(
    "array_iff(conditions: dynamic, then: dynamic, otherwise: dynamic): dynamic",
    "Item by item, one or the other.",
    ["array_iif"],
)
def _array_iff(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    conditions = "from_json($1, '[\"BOOLEAN\"]')"
    chosen = f"CASE WHEN c THEN ({items('$2')})[i] ELSE ({items('$3')})[i] END"
    return apply(_as_array(f"list_transform({conditions}, lambda c, i: {chosen})"), arguments, DYNAMIC)


@FAMILY.function(
    "zip(...arrays: dynamic): dynamic", "An array of the arrays' first items, of their second, ..."
)
def _zip(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs two arrays at least")
    places = [items(f"${index}") for index in range(1, len(arguments) + 1)]
    longest = f"greatest({', '.join(f'len({place})' for place in places)})"
    row = ", ".join(f"({place})[i]" for place in places)
    return apply(_as_array(f"list_transform(range(1, {longest} + 1), lambda i: [{row}])"), arguments, DYNAMIC)


@FAMILY.function("repeat(value: any, count: long): dynamic", "An array of so many times the value.")
def _repeat(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    repeated = "list_transform(range(0, least($2, 1048576)), lambda i: CAST(coalesce($1, 'null') AS JSON))"
    return apply(_as_array(repeated), (to_dynamic(arguments[0]), arguments[1]), DYNAMIC)


@FAMILY.function("array_sort_asc(array: dynamic): dynamic", "The items in ascending order.")
def _array_sort_asc(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _sorted(arguments, "ASC")


@FAMILY.function("array_sort_desc(array: dynamic): dynamic", "The items in descending order.")
def _array_sort_desc(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _sorted(arguments, "DESC")


@FAMILY.function(
    "extract_json(const path: string, text: any, const type?: any): any",
    "The value at a path of a JSON text.",
    ["extractjson"],
)
def _extract_json(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    path = str(call.constant(arguments[0], "a path").value)
    if not re.fullmatch(r"\$(\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\]|\['[^'\"\\*]+'\])*", path):
        raise call.unsupported(f"the path {path}")
    plain = re.sub(r"\['([^']+)'\]", r'."\1"', path)
    kind = call.constant(arguments[2], "a type") if len(arguments) > 2 else Constant("string", Type("type"))
    if kind.type.name != "type" or kind.value not in TYPES or kind.value == "dynamic":
        raise call.unsupported(f"the type {kind.value}")
    text = to_string(arguments[1])
    sql = "CASE WHEN json_valid($1) THEN json_extract_string($1, $2) END"
    found = apply(f"coalesce({sql}, '')", (text, Constant(plain, STRING)), STRING)
    return as_type(found, TYPES[kind.value])
