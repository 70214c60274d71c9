"""tolong(), toint(), todouble(), tobool(): what has no such value is null."""

from __future__ import annotations

import re

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    BOOL,
    INT,
    LONG,
    REAL,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.to_text import to_string

_INTEGER = r"^\s*[+-]?\d{1,19}\s*$"
_HEX = r"^\s*0[xX][0-9a-fA-F]{1,15}\s*$"
_REAL = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_NO_NUMBERS = r"^\s*(nan|NaN|[+-]?inf|[+-]?Infinity)\s*$"


def to_long(value: Scalar) -> Scalar:
    """tolong()"""
    return _to_integer(value, LONG, "BIGINT")


def to_int(value: Scalar) -> Scalar:
    """toint()"""
    if value.type.name == "long":
        if isinstance(value, Constant):
            return Constant((value.value + (1 << 31)) % (1 << 32) - (1 << 31), INT)
        # The low 32 bits, as a cast between integers keeps them.
        low = "(($1 & 4294967295) + 2147483648) % 4294967296 - 2147483648"
        return apply(f"CAST({low} AS INTEGER)", (value,), INT)
    return _to_integer(value, INT, "INTEGER")


def _to_integer(value: Scalar, kind: Type, engine: str) -> Scalar:
    name = value.type.name
    if isinstance(value, Constant) and name in ("long", "int", "bool", "timespan", "datetime"):
        return Constant(int(value.value), kind)
    if name in ("bool", "int", "timespan", "datetime", "long"):
        return apply(f"TRY_CAST($1 AS {engine})", (ticks(value),), kind)
    if name == "real":
        return apply(
            f"CASE WHEN isnan($1) THEN 0 WHEN $1 >= 9223372036854775807 THEN 9223372036854775807 "
            f"ELSE TRY_CAST(trunc($1) AS {engine}) END"
            if engine == "BIGINT"
            else f"TRY_CAST(trunc($1) AS {engine})",
            (value,),
            kind,
        )
    if name == "dynamic":
        text = to_string(value)
        return apply(
            f"CASE WHEN $1 IN ('true', 'false') THEN CAST($1 = 'true' AS {engine})"
            f" WHEN regexp_matches($1, '{_INTEGER}') THEN TRY_CAST($1 AS {engine})"
            f" WHEN regexp_matches($1, '{_REAL}')"
            f" THEN TRY_CAST(trunc(TRY_CAST($1 AS DOUBLE)) AS {engine}) END",
            (text,),
            kind,
        )
    if name == "string":
        if isinstance(value, Constant):
            return Constant(_integer_of(value.value, 63 if engine == "BIGINT" else 31), kind)
        form = f"(regexp_matches($1, '{_INTEGER}') OR regexp_matches($1, '{_HEX}'))"
        trimmed = "trim($1, ' \t\r\n')"
        return apply(f"CASE WHEN {form} THEN TRY_CAST({trimmed} AS {engine}) END", (value,), kind)
    return Constant(None, kind)


def _integer_of(text: str, bits: int) -> int | None:
    if re.match(_INTEGER, text):
        number = int(text)
    elif re.match(_HEX, text):
        number = int(text, 16)
    else:
        return None
    return number if -(1 << bits) <= number < 1 << bits else None


def to_real(value: Scalar) -> Scalar:
    """todouble()"""
    name = value.type.name
    if isinstance(value, Constant) and name in ("long", "int", "bool", "timespan", "datetime"):
        return Constant(float(value.value), REAL)
    if name in ("bool", "int", "long", "timespan", "datetime"):
        return apply("CAST($1 AS DOUBLE)", (ticks(value),), REAL)
    if name in ("string", "dynamic"):
        text = to_string(value)
        if isinstance(text, Constant):
            known = re.match(_REAL, text.value) or re.match(_NO_NUMBERS, text.value)
            return Constant(float(text.value) if known else None, REAL)
        truth = " WHEN $1 IN ('true', 'false') THEN CAST($1 = 'true' AS DOUBLE)" if name == "dynamic" else ""
        return apply(
            f"CASE WHEN regexp_matches($1, '{_REAL}') OR regexp_matches($1, '{_NO_NUMBERS}')"
            f" THEN TRY_CAST(trim($1, ' \t\r\n') AS DOUBLE){truth} END",
            (text,),
            REAL,
        )
    return Constant(None, REAL)


def to_bool(value: Scalar) -> Scalar:
    """tobool()"""
    name = value.type.name
    if isinstance(value, Constant) and name in ("long", "int"):
        return Constant(value.value != 0, BOOL)
    if name in ("int", "long"):
        return apply("$1 <> 0", (value,), BOOL)
    if name in ("string", "dynamic"):
        return apply(
            "CASE WHEN lower($1) = 'true' THEN TRUE WHEN lower($1) = 'false' THEN FALSE"
            " WHEN regexp_matches($1, '^[+-]?\\d{1,18}$') THEN CAST($1 AS BIGINT) <> 0 END",
            (to_string(value),),
            BOOL,
        )
    return Constant(None, BOOL)
