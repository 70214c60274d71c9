"""tostring(): the text of a value. No conversion fails: null gives empty text."""

from __future__ import annotations

import math
from typing import Any

from gapless.query.kql.emission.sql import apply, json_text, path_steps, template
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    NULLABLE_STRING,
    STRING,
    Apply,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import TIMESTAMP_OF_TICKS
from gapless.query.kql.values.values import TICKS_PER_DAY, datetime_text, timespan_text

#: The text of ticks.
DATETIME_TEXT = (
    f"strftime({TIMESTAMP_OF_TICKS}, '%Y-%m-%dT%H:%M:%S.')"
    " || lpad(CAST($1 % 10000000 AS VARCHAR), 7, '0') || 'Z'"
)

_DATETIME_US_TEXT = "strftime(CAST($1 AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z'"
#: The least of 64 bits has no opposite in them: it is divided before its sign is taken away.
_TIMESPAN_TEXT = (
    "CASE WHEN $1 < 0 THEN '-' ELSE '' END"
    f" || CASE WHEN $1 NOT BETWEEN {1 - TICKS_PER_DAY} AND {TICKS_PER_DAY - 1}"
    f" THEN CAST(abs($1 // {TICKS_PER_DAY}) AS VARCHAR) || '.' ELSE '' END"
    " || format('{:02d}:{:02d}:{:02d}', abs($1 // 36000000000) % 24, abs($1 // 600000000) % 60,"
    " abs($1 // 10000000) % 60)"
    " || CASE WHEN $1 % 10000000 <> 0"
    " THEN '.' || lpad(CAST(abs($1 % 10000000) AS VARCHAR), 7, '0') ELSE '' END"
)

_REAL_TEXT = (
    "CASE WHEN isnan($1) THEN 'NaN' WHEN isinf($1) THEN CASE WHEN $1 > 0 THEN 'inf' ELSE '-inf' END"
    " ELSE replace(CAST($1 AS VARCHAR), 'e', 'E') END"
)


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


def to_string(value: Scalar) -> Scalar:
    """tostring()"""
    kind = value.type.name
    if isinstance(value, Constant):
        return Constant(constant_text(value.value, kind), STRING)
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


def constant_text(value: Any, kind: str) -> str:
    """The text of a known value of that type."""
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
