"""Functions of dynamic values that change or describe their inside; members keep the texts that they have."""

from __future__ import annotations

import re
from typing import Any

import msgspec

Members = dict[str, msgspec.Raw]
_PATH = re.compile(r"\$((?:\.\w+|\['[^'\]]+'\])+)\Z")
_STEP = re.compile(r"\.(\w+)|\['([^'\]]+)'\]")
_NULL = msgspec.Raw(b"null")


def _decoded(text: str | None, kind: Any) -> Any:
    """The value of a JSON text; None where it is not of a kind."""
    try:
        return None if text is None else msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _set_key(bag: str | None, key: str | None, value: str | None) -> str | None:
    members = _decoded(bag, Members)
    if members is None or key is None:
        return None
    steps = [key]
    if key.startswith("$"):
        path = _PATH.match(key)
        if path is None:
            raise ValueError(f"bag_set_key() with the path {key} is not supported: write $.a.b")
        steps = [plain or quoted for plain, quoted in _STEP.findall(path[1])]
    return _text(_with_value(members, steps, msgspec.Raw((value or "null").encode())))


def _with_value(members: Members, steps: list[str], value: msgspec.Raw) -> Members:
    """Members with a value at the end of a path, whose bags are made where there are none."""
    first, *rest = steps
    if rest:
        inner = _decoded(bytes(members.get(first, _NULL)).decode(), Members) or {}
        value = msgspec.Raw(msgspec.json.encode(_with_value(inner, rest, value)))
    return {**members, first: value}


def _zip(keys: str | None, values: str | None) -> str | None:
    names = _decoded(keys, list[Any])
    if names is None:
        return None
    given = _decoded(values, list[msgspec.Raw]) or []
    padded = [*given, *[_NULL] * max(0, len(names) - len(given))]
    found: Members = {}
    for name, value in zip(names, padded, strict=False):
        if isinstance(name, str):
            found.setdefault(name, value)
    return _text(found)


# Schemas ----------------------------------------------------------------------------------------------------

_NAMES = {bool: "bool", int: "long", float: "double", str: "string"}


def _schema(values: str | None) -> str | None:
    """The schema of the values of an array: a type's name; for bags their members; for arrays the member
    `indexer`; an array where there are several."""
    decoded = _decoded(values, list[Any])
    return None if decoded is None else _text(_schema_of(decoded))


def _schema_of(values: list[Any]) -> Any:
    found: list[Any] = []
    members: dict[str, list[Any]] | None = None
    for value in values:
        if isinstance(value, dict | list):
            if members is None:
                members = {}
                found.append(members)
            inside = value.items() if isinstance(value, dict) else [("`indexer`", each) for each in value]
            for name, each in inside:
                members.setdefault(name, []).append(each)
        elif value is None:
            raise ValueError("buildschema() of a null is not supported: filter with isnotnull() before")
        elif (name := _NAMES[type(value)]) not in found:
            found.append(name)
    schemas = [
        {name: _schema_of(each) for name, each in part.items()} if isinstance(part, dict) else part
        for part in found
    ]
    return schemas[0] if len(schemas) == 1 else schemas


FUNCTIONS: dict[str, Any] = {
    "bag_set_key(text, text, text) text": _set_key,
    "bag_zip(text, text) text": _zip,
    "schema_of_values(text) text": _schema,
}
