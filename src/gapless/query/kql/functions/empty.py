"""Whether there is a value."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    BOOL,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Absence")


@FAMILY.function("isempty(value: any): bool", "Whether a value is null or empty text.")
def _isempty(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name in ("string", "dynamic"):
        return apply("$1 = ''", (certain_text(to_string(value)),), BOOL)
    return apply("$1 IS NULL", (value,), BOOL)


@FAMILY.function(
    "isnotempty(value: any): bool", "Whether a value is neither null nor empty text.", ["notempty"]
)
def _isnotempty(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name in ("string", "dynamic"):
        return apply("$1 <> ''", (certain_text(to_string(value)),), BOOL)
    return apply("$1 IS NOT NULL", (value,), BOOL)


@FAMILY.function("isnull(value: any): bool", "Whether a value is null; no string is.")
def _isnull(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if arguments[0].type.name == "string":
        return Constant(False, BOOL)
    return apply("$1 IS NULL", arguments, BOOL)


@FAMILY.function("isnotnull(value: any): bool", "Whether a value is not null.", ["notnull"])
def _isnotnull(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if arguments[0].type.name == "string":
        return Constant(True, BOOL)
    return apply("$1 IS NOT NULL", arguments, BOOL)
