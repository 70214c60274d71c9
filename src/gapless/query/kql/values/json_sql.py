"""SQL over JSON text: the items of arrays and the members of bags as lists, and back."""

from __future__ import annotations


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
    text = "concat(CAST(to_json(e.k) AS VARCHAR), ':', CAST(e.v AS VARCHAR))"
    texts = f"list_transform({first_entries(list_of_entries)}, lambda e: {text})"
    return f"concat('{{', array_to_string({texts}, ','), '}}')"


def first_entries(list_of_entries: str) -> str:
    """SQL: of a list of (k, v), the first for each key."""
    keys = f"list_transform({list_of_entries}, lambda each: each.k)"
    return f"list_filter({list_of_entries}, lambda e, i: i = list_position({keys}, e.k))"


def array_text(listed: str) -> str:
    """SQL: the JSON text of a list."""
    return f"CAST(to_json({listed}) AS VARCHAR)"


def certain_array_text(listed: str) -> str:
    """SQL: the JSON text of a list, that of an empty one for NULL."""
    return f"coalesce({array_text(listed)}, '[]')"


def let(name: str, value: str, body: str) -> str:
    """SQL: ``body``, in which ``name`` stands for ``value``, which is computed once."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"


def numbers(place: str) -> str:
    """SQL: an array's items as numbers, NULL for each that is none; NULL for what is no array."""
    special = "TRY_CAST(json_extract_string(each, '$') AS DOUBLE)"
    return (
        f"list_transform({items(place)}, lambda each: CASE WHEN json_type(each) IN ('UBIGINT', 'BIGINT', "
        "'DOUBLE') THEN CAST(each AS DOUBLE) "
        f"WHEN each IN ('\"NaN\"', '\"Infinity\"', '\"-Infinity\"') THEN {special} END)"
    )


def numbers_text(listed: str) -> str:
    """SQL: the JSON text of a list of doubles; what is no finite number is a string, as JSON has none."""
    return array_text(
        f"list_transform({listed}, lambda each: CASE WHEN isfinite(each) OR each IS NULL THEN to_json(each) "
        "WHEN isnan(each) THEN to_json('NaN') WHEN each > 0 THEN to_json('Infinity') "
        "ELSE to_json('-Infinity') END)"
    )


def is_array(place: str) -> str:
    """SQL: whether JSON text is an array."""
    return f"json_type({place}) = 'ARRAY'"
