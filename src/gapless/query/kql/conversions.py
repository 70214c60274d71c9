"""From one type to another. No conversion fails: what has no value in the other type is null there."""

from __future__ import annotations

import math
import re
from typing import Any

from gapless.query.kql.relation import (
    BOOL,
    DATETIME,
    DATETIME_US,
    DYNAMIC,
    GUID,
    INT,
    LONG,
    NULLABLE_STRING,
    REAL,
    STRING,
    TIMESPAN,
    Apply,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.sql import apply, json_text, path_steps, template
from gapless.query.kql.values import (
    EPOCH_TICKS,
    LAST_TICKS,
    TICKS_PER_DAY,
    datetime_text,
    parse_datetime,
    parse_timespan,
    timespan_text,
)

#: Ticks of a time as tables hold it.
TICKS_OF_US = f"(epoch_us($1) * 10 + {EPOCH_TICKS})"
#: A TIMESTAMP, to the microsecond, of ticks.
TIMESTAMP_OF_TICKS = f"make_timestamp($1 // 10 - {EPOCH_TICKS // 10})"
#: The text of ticks.
DATETIME_TEXT = (
    f"strftime({TIMESTAMP_OF_TICKS}, '%Y-%m-%dT%H:%M:%S.')"
    " || lpad(CAST($1 % 10000000 AS VARCHAR), 7, '0') || 'Z'"
)
_DATETIME_US_TEXT = "strftime(CAST($1 AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z'"
_TIMESPAN_TEXT = (
    "CASE WHEN $1 < 0 THEN '-' ELSE '' END"
    f" || CASE WHEN abs($1) >= {TICKS_PER_DAY}"
    f" THEN CAST(abs($1) // {TICKS_PER_DAY} AS VARCHAR) || '.' ELSE '' END"
    " || format('{:02d}:{:02d}:{:02d}', abs($1) // 36000000000 % 24, abs($1) // 600000000 % 60,"
    " abs($1) // 10000000 % 60)"
    " || CASE WHEN $1 % 10000000 <> 0"
    " THEN '.' || lpad(CAST(abs($1) % 10000000 AS VARCHAR), 7, '0') ELSE '' END"
)
_REAL_TEXT = (
    "CASE WHEN isnan($1) THEN 'NaN' WHEN isinf($1) THEN CASE WHEN $1 > 0 THEN 'inf' ELSE '-inf' END"
    " ELSE replace(CAST($1 AS VARCHAR), 'e', 'E') END"
)
_INTEGER = r"^\s*[+-]?\d{1,19}\s*$"
_HEX = r"^\s*0[xX][0-9a-fA-F]{1,15}\s*$"
_REAL = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_NO_NUMBERS = r"^\s*(nan|NaN|[+-]?inf|[+-]?Infinity)\s*$"
_TIME_TEXT = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,7})?)?)?\s*(Z|[+-]\d{2}:\d{2})?\s*$"


class Path(Apply):
    """A place in a dynamic value: names of members and positions, all known."""

    __slots__ = ("base", "steps")

    def __init__(self, base: Scalar, steps: tuple[str | int, ...]) -> None:
        self.base, self.steps = base, steps
        place = Constant(path_steps(steps), STRING)
        super().__init__(
            template("nullif(CAST(json_extract($1, $2) AS VARCHAR), 'null')"), (base, place), DYNAMIC
        )

    def text(self) -> Scalar:
        """The value there as tostring() gives it."""
        place = Constant(path_steps(self.steps), STRING)
        return apply("json_extract_string($1, $2)", (self.base, place), NULLABLE_STRING)


def as_type(value: Scalar, kind: Type) -> Scalar:
    """``value`` as one of another type; it is one already, or null, where there is no such conversion."""
    if value.type.name == kind.name:
        return value
    if isinstance(value, Constant) and value.value is None:
        return Constant("" if kind.name == "string" else None, kind)
    return _CONVERSIONS[kind.name](value)


def certain_text(value: Scalar) -> Scalar:
    """A string that is not held as NULL; other values as they are."""
    if value.type.form != "nullable":
        return value
    return apply("coalesce($1, '')", (value,), STRING)


def ticks(value: Scalar) -> Scalar:
    """A datetime in ticks; other values as they are."""
    if value.type.form != "us":
        return value
    if isinstance(value, Constant):
        return Constant(value.value, DATETIME)
    return apply(TICKS_OF_US, (value,), DATETIME)


def in_us(value: Scalar) -> Scalar | None:
    """A datetime constant in the form that tables hold; None if that loses a part of it."""
    if not isinstance(value, Constant) or (value.value is not None and value.value % 10):
        return None
    return Constant(value.value, DATETIME_US)


def to_string(value: Scalar) -> Scalar:
    """tostring()"""
    kind = value.type.name
    if isinstance(value, Constant):
        return Constant(_constant_text(value.value, kind), STRING)
    if kind == "string":
        return value
    if isinstance(value, Path):
        return value.text()
    if value.type.form == "us":
        return apply(_DATETIME_US_TEXT, (value,), NULLABLE_STRING)
    sql = {
        "bool": "CASE WHEN $1 THEN 'True' WHEN NOT $1 THEN 'False' END",
        "real": _REAL_TEXT,
        "datetime": DATETIME_TEXT,
        "timespan": _TIMESPAN_TEXT,
        "dynamic": "json_extract_string($1, '$')",
        "guid": "$1",
    }.get(kind, "CAST($1 AS VARCHAR)")
    return apply(sql, (value,), NULLABLE_STRING)


def _constant_text(value: Any, kind: str) -> str:
    if value is None:
        return ""
    if kind == "bool":
        return str(value)
    if kind == "real":
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return "NaN" if math.isnan(value) else repr(value).replace("e", "E")
    if kind == "datetime":
        return datetime_text(value)
    if kind == "timespan":
        return timespan_text(value)
    if kind == "dynamic" and not isinstance(value, str):
        return json_text(value)
    return str(value)


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
        return apply(f"CAST($1 AS {engine})", (ticks(value),), kind)
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


def to_datetime(value: Scalar) -> Scalar:
    """todatetime()"""
    name = value.type.name
    if name in ("string", "dynamic"):
        text = to_string(value)
        if isinstance(text, Constant):
            return Constant(parse_datetime(text.value), DATETIME)
        return apply(_datetime_of_text(), (text,), DATETIME)
    if name in ("int", "long"):
        return apply(
            f"CASE WHEN $1 BETWEEN 0 AND {LAST_TICKS} THEN CAST($1 AS BIGINT) END", (value,), DATETIME
        )
    return Constant(None, DATETIME)


def _datetime_of_text() -> str:
    """ISO 8601 by rule; what has another form is left to none: a wrong guess of day and month is worse."""
    seventh = "coalesce(TRY_CAST(nullif(regexp_extract($1, '\\.\\d{6}(\\d)', 1), '') AS BIGINT), 0)"
    stamp = "TRY_CAST(regexp_replace(trim($1), '(\\.\\d{6})\\d', '\\1') AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN regexp_matches($1, '{_TIME_TEXT}')"
        f" THEN epoch_us({stamp}) * 10 + {EPOCH_TICKS} + {seventh}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{4}}-\\d{{2}}\\s*$')"
        f" THEN epoch_us(TRY_CAST(trim($1) || '-01' AS TIMESTAMPTZ)) * 10 + {EPOCH_TICKS}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{1,2}}/\\d{{1,2}}/\\d{{4}}\\s*$')"
        f" THEN epoch_us(TRY_CAST(try_strptime(trim($1), '%m/%d/%Y') AS TIMESTAMPTZ)) * 10 + {EPOCH_TICKS}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{1,2}}/\\d{{1,2}}/\\d{{4}} \\d{{1,2}}:\\d{{2}}:\\d{{2}}"
        f" [AP]M\\s*$')"
        f" THEN epoch_us(CAST(try_strptime(trim($1), '%m/%d/%Y %I:%M:%S %p') AS TIMESTAMPTZ)) * 10"
        f" + {EPOCH_TICKS} END"
    )


def to_timespan(value: Scalar) -> Scalar:
    """totimespan()"""
    name = value.type.name
    if name in ("string", "dynamic"):
        text = to_string(value)
        if isinstance(text, Constant):
            return Constant(parse_timespan(text.value), TIMESPAN)
        return apply(_timespan_of_text(), (text,), TIMESPAN)
    if name in ("int", "long"):
        return apply("CAST($1 AS BIGINT)", (value,), TIMESPAN)
    return Constant(None, TIMESPAN)


def _timespan_of_text() -> str:
    clock = r"^\s*(-)?(?:(\d{1,8})\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*$"

    def part(group: int) -> str:
        return f"coalesce(TRY_CAST(nullif(regexp_extract($1, '{clock}', {group}), '') AS BIGINT), 0)"

    fraction = f"CAST(rpad(regexp_extract($1, '{clock}', 6), 7, '0') AS BIGINT)"
    total = f"((({part(2)} * 24 + {part(3)}) * 60 + {part(4)}) * 60 + {part(5)}) * 10000000 + {fraction}"
    signed = f"({total}) * CASE WHEN regexp_matches($1, '^\\s*-') THEN -1 ELSE 1 END"
    valid = f"regexp_matches($1, '{clock}') AND {part(3)} < 24 AND {part(4)} < 60 AND {part(5)} < 60"
    return (
        f"CASE WHEN {valid} THEN {signed}"
        f" WHEN regexp_matches($1, '^\\s*-?\\d{{1,7}}\\s*$')"
        f" THEN TRY_CAST(trim($1) AS BIGINT) * {TICKS_PER_DAY} END"
    )


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
            return Constant(_constant_text(value.value, name), DYNAMIC)
        if name == "real" and value.value is not None and not math.isfinite(value.value):
            return Constant(_constant_text(value.value, name), DYNAMIC)
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
