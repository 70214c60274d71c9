"""From one type to another. No conversion fails: what has no value in the other type is null there."""

from __future__ import annotations

import math

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    GUID,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.to_number import to_bool, to_int, to_long, to_real
from gapless.query.kql.values.to_text import constant_text, to_string
from gapless.query.kql.values.to_time import to_datetime, to_timespan


def as_type(value: Scalar, kind: Type) -> Scalar:
    """``value`` as one of another type; it is one already, or null, where there is no such conversion."""
    if value.type.name == kind.name:
        return value
    if isinstance(value, Constant) and value.value is None:
        return Constant("" if kind.name == "string" else None, kind)
    return _CONVERSIONS[kind.name](value)


def to_guid(value: Scalar) -> Scalar:
    """toguid()"""
    if value.type.name in ("string", "dynamic"):
        return apply("lower(CAST(TRY_CAST(trim($1) AS UUID) AS VARCHAR))", (to_string(value),), GUID)
    return Constant(None, GUID)


def to_dynamic(value: Scalar) -> Scalar:
    """A scalar as a dynamic value that holds it (not parsed, unlike parse_json)."""
    name = value.type.name
    if name == "dynamic":
        return value
    if isinstance(value, Constant):
        if name in ("datetime", "timespan") and value.value is not None:
            return Constant(constant_text(value.value, name), DYNAMIC)
        if name == "real" and value.value is not None and not math.isfinite(value.value):
            return Constant(constant_text(value.value, name), DYNAMIC)
        return Constant(value.value, DYNAMIC)
    if name in ("bool", "int", "long"):
        return apply("CAST($1 AS VARCHAR)", (value,), DYNAMIC)
    if name == "real":
        return apply(
            "CASE WHEN isfinite($1) THEN CAST($1 AS VARCHAR) ELSE to_json(CAST($1 AS VARCHAR)) END",
            (value,),
            DYNAMIC,
        )
    text = certain_text(value) if name == "string" else to_string(value)
    return apply("CAST(to_json($1) AS VARCHAR)", (text,), DYNAMIC)


_CONVERSIONS = {
    "bool": to_bool,
    "int": to_int,
    "long": to_long,
    "real": to_real,
    "string": to_string,
    "datetime": to_datetime,
    "timespan": to_timespan,
    "guid": to_guid,
    "dynamic": to_dynamic,
}
