"""Functions of dynamic values: to and from JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    STRING,
    TYPES,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.conversions import as_type, to_dynamic
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Dynamic values")


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
    "extract_json(const path: string, text: any, const type?: type): any",
    "The value at a path of a JSON text.",
    ["extractjson"],
)
def _extract_json(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    path = str(call.constant(arguments[0], "a path").value)
    if not re.fullmatch(r"\$(\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\]|\['[^'\"\\*]+'\])*", path):
        raise call.unsupported(f"the path {path}")
    plain = re.sub(r"\['([^']+)'\]", r'."\1"', path)
    kind = call.constant(arguments[2], "a type") if len(arguments) > 2 else Constant("string", Type("type"))
    if kind.value == "dynamic":
        raise call.unsupported(f"the type {kind.value}")
    text = to_string(arguments[1])
    sql = "CASE WHEN json_valid($1) THEN json_extract_string($1, $2) END"
    found = apply(f"coalesce({sql}, '')", (text, Constant(plain, STRING)), STRING)
    return as_type(found, TYPES[kind.value])
