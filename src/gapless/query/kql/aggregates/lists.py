"""Aggregates that collect: arrays and bags of values."""

from __future__ import annotations

from gapless.query.kql.aggregates.call import AggregateCall, AggregateFamily
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    STRING,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.json_sql import bag_text, certain_array_text, entries, first_entries, items, let

FAMILY = AggregateFamily()
_LIST_MAX = 1_048_576
_LIST = Type("list")


def _json_item(value: Scalar) -> Scalar:
    """What goes into an array: something that to_json() takes as it is."""
    kind = value.type.name
    if kind == "dynamic":
        return apply("CAST($1 AS JSON)", (value,), DYNAMIC)
    if kind in ("real", "datetime", "timespan"):
        return apply("CAST($1 AS JSON)", (to_dynamic(value),), DYNAMIC)
    return certain_text(value)


def _item_limit(call: AggregateCall) -> int:
    if len(call.arguments) < 2:
        return _LIST_MAX
    limit = call.arguments[1]
    if not isinstance(limit, Constant) or not isinstance(limit.value, int):
        raise call.error("needs a number that is known as its limit")
    return limit.value if limit.value > 0 else _LIST_MAX


#: The items of an array, and another value as the only item.
_SPREAD = (
    f"CASE WHEN json_type($1) = 'ARRAY' THEN {items('$1')} ELSE [CAST(coalesce($1, 'null') AS JSON)] END"
)


def _make_list(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    limit = _item_limit(call)
    if value.type.name == "dynamic":
        # Arrays give their items; null stays.
        listed = f"list_slice(flatten(list({_SPREAD}{{order}}){{where}}), 1, {limit})"
        return call.apply(certain_array_text(listed), (value,), DYNAMIC, True)
    sql = certain_array_text(f"list_slice(list($1{{order}}){{where}}, 1, {limit})")
    keep = "$1 IS NOT NULL" if value.type.name != "string" else "TRUE"
    return call.filtered(keep, sql, (_json_item(value),), DYNAMIC, True)


def _make_list_with_nulls(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name == "dynamic":
        listed = f"flatten(list({_SPREAD}{{order}}){{where}})"
        return call.apply(certain_array_text(listed), (value,), DYNAMIC, True)
    return call.apply(certain_array_text("list($1{order}){where}"), (_json_item(value),), DYNAMIC, True)


def _make_set(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    kind = value.type.name
    text = "CAST($1 AS VARCHAR)" if kind == "real" else "$1"
    if kind == "dynamic":
        # Arrays give their items. JSON has no order of its own: its text has.
        texts = f"list_transform({_SPREAD}, lambda each: CAST(each AS VARCHAR))"
        listed = f"flatten(list({texts}{{order}}){{where}})"
        distinct = _as_they_come(listed) if call.order else f"list_sort(list_distinct({listed}))"
    elif call.order:
        distinct = _as_they_come(f"list({text}{{order}}){{where}}")
    else:
        distinct = f"list(DISTINCT {text} ORDER BY {text}){{where}}"
    head = f"list_slice({distinct}, 1, {_item_limit(call)})"
    if kind in ("dynamic", "real"):
        head = f"list_transform({head}, lambda each: CAST(each AS JSON))"
    keep = "$1 IS NOT NULL" if kind != "string" else "TRUE"
    return call.filtered(keep, certain_array_text(head), (_json_item(value),), DYNAMIC, True)


def _as_they_come(listed: str) -> str:
    """SQL: the different values of a list, in the order in which they come first."""
    pairs = f"list_sort(list_transform({listed}, lambda e, i: {{'v': e, 'i': i}}))"
    first = "list_filter(pairs, lambda e, i: i = 1 OR e.v <> pairs[i - 1].v)"
    places = f"list_sort(list_transform({first}, lambda e: {{'i': e.i, 'v': e.v}}))"
    return let("pairs", pairs, f"list_transform({places}, lambda e: e.v)")


def _make_bag(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name != "dynamic":
        raise call.error(f"needs bags, not {value.type.name}: use bag_pack()")
    item = apply("CAST($1 AS JSON)", (value,), DYNAMIC)
    bags = "coalesce(list($1{order}){where}, [])"
    if len(call.arguments) > 1:
        members = let(
            "members", _members(bags), f"list_slice({first_entries('members')}, 1, {_item_limit(call)})"
        )
        bags = f"[CAST({let('members', members, bag_text('members'))} AS JSON)]"
    return call.filtered("json_type($1) = 'OBJECT'", bags, (item,), _LIST, True)


def _merged(bags: Scalar) -> Scalar:
    """One bag of a list of bags; of several values for one name, the first stays."""
    return apply(bag_text(_members("$1")), (bags,), DYNAMIC)


def _members(bags: str) -> str:
    """SQL: the members of a list of bags, as a list of (k, v)."""
    return f"flatten(list_transform({bags}, lambda bag: {entries('bag')}))"


def _buildschema(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name != "dynamic":
        raise call.error(f"needs dynamic values, not {value.type.name}")
    listed = certain_array_text("list(CAST($1 AS JSON)){where}")
    return call.filtered("$1 IS NOT NULL", listed, (value,), STRING, False)


FAMILY.add(
    "make_list(value, limit)",
    _make_list,
    "An array of the values that are not null.",
    aliases=("makelist",),
    prefix="list",
    conditional="make_list_if",
    optional=1,
)
FAMILY.add(
    "make_list_with_nulls(value)", _make_list_with_nulls, "An array of the values, with nulls.", prefix="list"
)
FAMILY.add(
    "make_set(value, limit)",
    _make_set,
    "An array of the different values, in the order of the rows; in their own, if these have none.",
    aliases=("makeset",),
    prefix="set",
    conditional="make_set_if",
    optional=1,
)
FAMILY.add(
    "make_bag(bag, limit)",
    _make_bag,
    "A bag of the members of all bags.",
    prefix="bag",
    conditional="make_bag_if",
    optional=1,
    finish=_merged,
)
FAMILY.add(
    "buildschema(value)",
    _buildschema,
    "The schema of all values: types by the names of members, `indexer` for the items of arrays.",
    prefix="schema",
    finish=lambda listed: apply("schema_of_values($1)", (listed,), DYNAMIC),
)
