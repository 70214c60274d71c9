"""Functions of bags."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.json_sql import array_text, bag_text, entries

FAMILY = Family("Bags")


@FAMILY.function("bag_keys(bag: dynamic): dynamic", "The names of the members.")
def _bag_keys(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = f"CASE WHEN json_type($1) = 'OBJECT' THEN {array_text('json_keys($1)')} END"
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


def pack_all(columns: Sequence[tuple[str, Scalar]], without_empty: bool) -> Scalar:
    """A bag of all columns; with ``without_empty``, of those that are neither null nor empty text."""
    names = [Constant(name, STRING) for name, _ in columns]
    values = [to_dynamic(certain_text(value)) for _, value in columns]
    if not without_empty:
        return _joined_bag(names, values)
    count = len(columns)
    members = ", ".join(
        f"{{'k': ${place}, 'v': CAST(nullif(${count + place}, '\"\"') AS JSON)}}"
        for place in range(1, count + 1)
    )
    kept = f"list_filter([{members}], lambda e: e.v IS NOT NULL)"
    texts = (
        f"list_transform({kept}, lambda e: concat(CAST(to_json(e.k) AS VARCHAR), ':', CAST(e.v AS VARCHAR)))"
    )
    return apply(f"concat('{{', array_to_string({texts}, ','), '}}')", (*names, *values), DYNAMIC)


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
