"""Formats of times."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.functions.times import PARTS
from gapless.query.kql.relational.scalars import (
    STRING,
    Apply,
    Scalar,
)
from gapless.query.kql.values.forms import TIMESTAMP_OF_TICKS
from gapless.query.kql.values.values import TICKS_PER_DAY, TICKS_PER_SECOND

FAMILY = Family("Formats of times")
#: Parts of a format of a datetime; longer runs of a letter are read in pairs: dddd is dd and dd.
_DATETIME_PART = re.compile(r"(yyyy|y{1,3}|MM?|dd?|hh?|HH?|mm?|ss?|f+|F+|tt|.)", re.DOTALL)
_TIMESPAN_PART = re.compile(r"(d+|h+|H+|m+|s+|f+|F+|.)", re.DOTALL)
_DELIMITERS = frozenset(" /-:,.[]_T")


@FAMILY.function(
    "format_datetime(time: datetime, const format: string): string", "A time in a format of its own."
)
def _format_datetime(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    text = str(call.constant(arguments[1], "a format").value)
    stamp = TIMESTAMP_OF_TICKS
    known = {
        "yyyy": f"strftime({stamp}, '%Y')",
        "yy": f"strftime({stamp}, '%y')",
        "y": f"CAST(year({stamp}) % 100 AS VARCHAR)",
        "MM": f"strftime({stamp}, '%m')",
        "M": f"CAST(month({stamp}) AS VARCHAR)",
        "dd": f"strftime({stamp}, '%d')",
        "d": f"CAST(day({stamp}) AS VARCHAR)",
        "HH": f"strftime({stamp}, '%H')",
        "H": f"CAST({PARTS['hour']} AS VARCHAR)",
        "hh": f"strftime({stamp}, '%I')",
        "h": f"CAST(({PARTS['hour']} + 11) % 12 + 1 AS VARCHAR)",
        "mm": f"strftime({stamp}, '%M')",
        "m": f"CAST({PARTS['minute']} AS VARCHAR)",
        "ss": f"strftime({stamp}, '%S')",
        "s": f"CAST({PARTS['second']} AS VARCHAR)",
        "tt": f"strftime({stamp}, '%p')",
    }
    return _formatted(call, _DATETIME_PART, text, known, f"$1 % {TICKS_PER_SECOND}", arguments[0])


@FAMILY.function(
    "format_timespan(span: timespan, const format: string): string", "A timespan in a format of its own."
)
def _format_timespan(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    text = str(call.constant(arguments[1], "a format").value)
    days = f"abs($1 // {TICKS_PER_DAY})"
    hours = f"abs($1 // {3600 * TICKS_PER_SECOND}) % 24"
    minutes = f"abs($1 // {60 * TICKS_PER_SECOND}) % 60"
    seconds = f"abs($1 // {TICKS_PER_SECOND}) % 60"
    known = {}
    for letter, value in (("d", days), ("h", hours), ("H", hours), ("m", minutes), ("s", seconds)):
        known[letter] = f"CAST({value} AS VARCHAR)"
        for width in range(2, 9 if letter == "d" else 3):
            known[letter * width] = f"format('{{:0{width}d}}', {value})"
    return _formatted(call, _TIMESPAN_PART, text, known, f"abs($1 % {TICKS_PER_SECOND})", arguments[0])


def _formatted(
    call: Call, form: re.Pattern[str], text: str, known: dict[str, str], fraction: str, value: Scalar
) -> Apply:
    parts = []
    for part in form.findall(text):
        digits = f"lpad(CAST({fraction} AS VARCHAR), 7, '0')"
        if part in known:
            parts.append(known[part])
        elif part[0] == "f" and len(part) <= 7:
            parts.append(f"left({digits}, {len(part)})")
        elif part[0] == "F" and len(part) <= 7:
            parts.append(f"rtrim(left({digits}, {len(part)}), '0')")
        elif part in _DELIMITERS:
            parts.append(f"'{part}'")
        else:
            raise call.unsupported(f"{part!r} in a format")
    if value.type.name == "timespan":
        parts.insert(0, "CASE WHEN $1 < 0 THEN '-' ELSE '' END")
    joined = f"concat({', '.join(parts)})" if parts else "''"
    return apply(f"CASE WHEN $1 IS NULL THEN '' ELSE {joined} END", (value,), STRING)
