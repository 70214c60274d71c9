"""Functions of datetimes and timespans. Weeks start on Sunday; all is UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.conversions import TIMESTAMP_OF_TICKS
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relation import DATETIME, LONG, REAL, STRING, TIMESPAN, Apply, Constant, Scalar
from gapless.query.kql.sql import apply
from gapless.query.kql.values import EPOCH_TICKS, LAST_TICKS, TICKS_PER_DAY, TICKS_PER_SECOND

FAMILY = Family("Times")

#: Ticks of a TIMESTAMP.
_TICKS = f"(epoch_us({{}}) * 10 + {EPOCH_TICKS})"
#: 0001-01-01 was a Monday: days since then, plus 1, count from a Sunday.
_DAYS = f"($1 // {TICKS_PER_DAY})"


def _add(moment: Scalar, span: int) -> Scalar:
    sql = f"$1 + {span}"
    return apply(f"CASE WHEN {sql} BETWEEN 0 AND {LAST_TICKS} THEN {sql} END", (moment,), DATETIME)


@FAMILY.function("now(const offset?: timespan): datetime", "The time at which the query began.")
def _now(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    offset = call.constant(arguments[0], "an offset").value if arguments else 0
    return Constant(None if offset is None else call.now_ticks + offset, DATETIME)


@FAMILY.function("ago(span: timespan): datetime", "So long before the query began.")
def _ago(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    span = arguments[0]
    if isinstance(span, Constant):
        moment = None if span.value is None else call.now_ticks - span.value
        return Constant(moment if moment is None or 0 <= moment <= LAST_TICKS else None, DATETIME)
    return apply(f"{call.now_ticks} - $1", (span,), DATETIME)


_STARTS = {
    "day": f"$1 // {TICKS_PER_DAY} * {TICKS_PER_DAY}",
    "week": f"({_DAYS} - ({_DAYS} + 1) % 7) * {TICKS_PER_DAY}",
    "month": _TICKS.format(f"date_trunc('month', {TIMESTAMP_OF_TICKS})"),
    "year": _TICKS.format(f"date_trunc('year', {TIMESTAMP_OF_TICKS})"),
}
_LENGTHS = {"day": TICKS_PER_DAY, "week": 7 * TICKS_PER_DAY}
_INTERVALS = {"month": "to_months", "year": "to_years"}


def _start(unit: str, moment: Scalar, offset: Scalar | None, call: Call) -> Scalar:
    start: Scalar = apply(_STARTS[unit], (moment,), DATETIME)
    if offset is None:
        return start
    count = call.constant(offset, "an offset").value
    if count is None:
        return Constant(None, DATETIME)
    return _shift(start, unit, count)


def _shift(start: Scalar, unit: str, count: int) -> Scalar:
    if unit in _LENGTHS:
        return _add(start, count * _LENGTHS[unit])
    later = f"({TIMESTAMP_OF_TICKS} + {_INTERVALS[unit]}(CAST({count} AS INTEGER)))"
    return apply(
        f"CASE WHEN year({later}) BETWEEN 1 AND 9999 THEN {_TICKS.format(later)} END", (start,), DATETIME
    )


def _end(unit: str, moment: Scalar, offset: Scalar | None, call: Call) -> Scalar:
    count = 0 if offset is None else call.constant(offset, "an offset").value
    if count is None:
        return Constant(None, DATETIME)
    start: Scalar = apply(_STARTS[unit], (moment,), DATETIME)
    if unit in _LENGTHS:
        return _add(start, (count + 1) * _LENGTHS[unit] - 1)
    later = f"({TIMESTAMP_OF_TICKS} + {_INTERVALS[unit]}(CAST({count + 1} AS INTEGER)))"
    return apply(f"{_TICKS.format(later)} - 1", (start,), DATETIME)


def _register_unit(unit: str) -> None:
    def start(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        return _start(unit, arguments[0], arguments[1] if len(arguments) > 1 else None, call)

    def end(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        return _end(unit, arguments[0], arguments[1] if len(arguments) > 1 else None, call)

    form = "(time: datetime, const offset?: long): datetime"
    FAMILY.function(f"startof{unit}{form}", f"The first moment of the {unit}, or of one so many later.")(
        start
    )
    FAMILY.function(f"endof{unit}{form}", f"The last tick of the {unit}, or of one so many later.")(end)


for _unit in ("day", "week", "month", "year"):
    _register_unit(_unit)

_PARTS = {
    "year": f"year({TIMESTAMP_OF_TICKS})",
    "quarter": f"quarter({TIMESTAMP_OF_TICKS})",
    "month": f"month({TIMESTAMP_OF_TICKS})",
    "day": f"day({TIMESTAMP_OF_TICKS})",
    "dayofyear": f"dayofyear({TIMESTAMP_OF_TICKS})",
    "hour": f"$1 // {3600 * TICKS_PER_SECOND} % 24",
    "minute": f"$1 // {60 * TICKS_PER_SECOND} % 60",
    "second": f"$1 // {TICKS_PER_SECOND} % 60",
    "millisecond": "$1 // 10000 % 1000",
    "microsecond": "$1 // 10 % 1000000",
    "nanosecond": "$1 % 10000000 * 100",
    "weekofyear": f"weekofyear({TIMESTAMP_OF_TICKS})",
    "week_of_year": f"weekofyear({TIMESTAMP_OF_TICKS})",
}


def _part(part: str, moment: Scalar) -> Scalar:
    return apply(f"CAST({_PARTS[part]} AS BIGINT)", (moment,), LONG)


for _name, _unit, _aliases in (
    ("getyear", "year", ()),
    ("monthofyear", "month", ("getmonth",)),
    ("dayofmonth", "day", ()),
    ("dayofyear", "dayofyear", ()),
    ("hourofday", "hour", ()),
    ("week_of_year", "weekofyear", ("weekofyear",)),
):
    FAMILY.sql(
        f"{_name}(time: datetime): long",
        f"CAST({_PARTS[_unit]} AS BIGINT)",
        f"The {_unit} of a time.",
        _aliases,
    )


@FAMILY.function("dayofweek(time: datetime): timespan", "Days since the last Sunday, as a timespan.")
def _dayofweek(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(f"({_DAYS} + 1) % 7 * {TICKS_PER_DAY}", arguments, TIMESPAN)


@FAMILY.function(
    "datetime_part(const part: string, time: datetime): long",
    "A part of a time: year, month, day, ...",
    ["datepart"],
)
def _datetime_part(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    part = str(call.constant(arguments[0], "a part").value).lower()
    if part not in _PARTS:
        raise call.error(f"knows no part {part!r}: it knows {', '.join(_PARTS)}")
    return _part(part, arguments[1])


_UNITS = {
    "day": TICKS_PER_DAY,
    "hour": 3600 * TICKS_PER_SECOND,
    "minute": 60 * TICKS_PER_SECOND,
    "second": TICKS_PER_SECOND,
    "millisecond": 10_000,
    "microsecond": 10,
}


@FAMILY.function(
    "datetime_diff(const part: string, later: datetime, earlier: datetime): any",
    "How many borders of years, days, hours, ... lie between two times.",
)
def _datetime_diff(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    part = str(call.constant(arguments[0], "a part").value).lower()
    later, earlier = arguments[1], arguments[2]
    if part in _UNITS:
        width = _UNITS[part]
        return apply(f"$1 // {width} - $2 // {width}", (later, earlier), LONG)
    if part == "nanosecond":
        return apply("($1 - $2) * 100", (later, earlier), LONG)
    if part == "week":
        width = TICKS_PER_DAY
        weeks = f"($1 // {width} + 1) // 7 - ($2 // {width} + 1) // 7"
        return apply(f"CAST({weeks} AS DOUBLE)", (later, earlier), REAL)
    second = TIMESTAMP_OF_TICKS.replace("$1", "$2")
    years = f"(year({TIMESTAMP_OF_TICKS}) - year({second}))"
    if part == "year":
        return apply(f"CAST({years} AS BIGINT)", (later, earlier), LONG)
    if part in ("month", "quarter"):
        count = {"month": 12, "quarter": 4}[part]
        units = f"{years} * {count} + {part}({TIMESTAMP_OF_TICKS}) - {part}({second})"
        return apply(f"CAST({units} AS BIGINT)", (later, earlier), LONG)
    raise call.error(f"knows no part {part!r}")


@FAMILY.function(
    "datetime_add(const part: string, count: long, time: datetime): datetime",
    "So many years, months, days, ... later.",
)
def _datetime_add(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    part = str(call.constant(arguments[0], "a part").value).lower()
    count, moment = arguments[1], arguments[2]
    units = {**_UNITS, "week": 7 * TICKS_PER_DAY}
    if part in units:
        most = LAST_TICKS // units[part]
        later = f"$1 + $2 * {units[part]}"
        moved = f"CASE WHEN {later} BETWEEN 0 AND {LAST_TICKS} THEN {later} END"
        return apply(f"CASE WHEN $2 BETWEEN {-most} AND {most} THEN {moved} END", (moment, count), DATETIME)
    months = {"month": 1, "quarter": 3, "year": 12}.get(part)
    if months is None:
        raise call.error(f"knows no part {part!r}")
    # The engine's TIMESTAMP has microseconds: the last digit is carried over.
    later = f"({TIMESTAMP_OF_TICKS} + to_months(CAST($2 * {months} AS INTEGER)))"
    ticks = f"{_TICKS.format(later)} + $1 % 10"
    in_range = f"abs($2) <= 200000 AND year({later}) BETWEEN 1 AND 9999"
    return apply(f"CASE WHEN {in_range} THEN {ticks} END", (moment, count), DATETIME)


@FAMILY.function(
    "make_datetime(year: long, month: long, day: long, hour?: long, minute?: long, second?: real): datetime",
    "The time of its parts; null if there is none.",
)
def _make_datetime(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) not in (3, 5, 6):
        raise call.error("needs year, month, day, and then hour and minute, and then second")
    zero = Constant(0, LONG)
    hour, minute = (arguments[3], arguments[4]) if len(arguments) > 3 else (zero, zero)
    second: Scalar = arguments[5] if len(arguments) > 5 else zero
    day = "TRY(make_timestamp($1, $2, $3, 0, 0, 0))"
    clock = f"($4 * 60 + $5) * {60 * TICKS_PER_SECOND} + CAST(round($6 * {TICKS_PER_SECOND}) AS BIGINT)"
    valid = "$1 BETWEEN 1900 AND 9999 AND $4 BETWEEN 0 AND 23 AND $5 BETWEEN 0 AND 59 AND $6 >= 0 AND $6 < 60"
    sql = f"CASE WHEN {valid} THEN {_TICKS.format(day)} + {clock} END"
    return apply(sql, (*arguments[:3], hour, minute, second), DATETIME)


@FAMILY.function(
    "make_timespan(a: long, b: long, c?: real, d?: real): timespan",
    "A timespan of hours and minutes, of hours, minutes, seconds, or of days and those.",
)
def _make_timespan(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    zero = Constant(0, LONG)
    if len(arguments) == 2:
        parts: tuple[Scalar, ...] = (zero, arguments[0], arguments[1], zero)
    elif len(arguments) == 3:
        parts = (zero, *arguments)
    else:
        parts = tuple(arguments)
    valid = "$1 >= 0 AND $2 BETWEEN 0 AND 23 AND $3 BETWEEN 0 AND 59 AND $4 >= 0 AND $4 < 60"
    total = "(($1 * 24 + $2) * 60 + $3) * 60"
    sql = f"CASE WHEN {valid} THEN CAST({total} AS BIGINT) * {TICKS_PER_SECOND}"
    sql += f" + CAST(round($4 * {TICKS_PER_SECOND}) AS BIGINT) END"
    return apply(sql, parts, TIMESPAN)


for _name, _per_second in {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}.items():
    _sql = f"$1 * {TICKS_PER_SECOND // _per_second}" if _per_second <= TICKS_PER_SECOND else "$1 // 100"
    FAMILY.sql(
        f"unixtime_{_name}_todatetime(value: long): datetime",
        f"CASE WHEN {_sql} BETWEEN {-EPOCH_TICKS} AND {LAST_TICKS - EPOCH_TICKS}"
        f" THEN {EPOCH_TICKS} + {_sql} END",
        f"The time so many {_name} after 1970.",
    )

# Formats ----------------------------------------------------------------------------------------------------

_FORMAT_PART = re.compile(r"(y+|M+|d+|h+|H+|m+|s+|f+|F+|t+|\\.|.)", re.DOTALL)
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
        "MM": f"strftime({stamp}, '%m')",
        "M": f"CAST(month({stamp}) AS VARCHAR)",
        "dd": f"strftime({stamp}, '%d')",
        "d": f"CAST(day({stamp}) AS VARCHAR)",
        "HH": f"strftime({stamp}, '%H')",
        "H": f"CAST({_PARTS['hour']} AS VARCHAR)",
        "hh": f"strftime({stamp}, '%I')",
        "h": f"CAST(({_PARTS['hour']} + 11) % 12 + 1 AS VARCHAR)",
        "mm": f"strftime({stamp}, '%M')",
        "m": f"CAST({_PARTS['minute']} AS VARCHAR)",
        "ss": f"strftime({stamp}, '%S')",
        "s": f"CAST({_PARTS['second']} AS VARCHAR)",
        "tt": f"strftime({stamp}, '%p')",
    }
    return _formatted(call, text, known, f"$1 % {TICKS_PER_SECOND}", arguments[0])


@FAMILY.function(
    "format_timespan(span: timespan, const format: string): string", "A timespan in a format of its own."
)
def _format_timespan(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    text = str(call.constant(arguments[1], "a format").value)
    days = f"abs($1) // {TICKS_PER_DAY}"
    hours = f"abs($1) // {3600 * TICKS_PER_SECOND} % 24"
    minutes = f"abs($1) // {60 * TICKS_PER_SECOND} % 60"
    seconds = f"abs($1) // {TICKS_PER_SECOND} % 60"
    known = {}
    for letter, value in (("d", days), ("h", hours), ("H", hours), ("m", minutes), ("s", seconds)):
        known[letter] = f"CAST({value} AS VARCHAR)"
        for width in range(2, 9 if letter == "d" else 3):
            known[letter * width] = f"format('{{:0{width}d}}', {value})"
    return _formatted(call, text, known, f"abs($1) % {TICKS_PER_SECOND}", arguments[0])


def _formatted(call: Call, text: str, known: dict[str, str], fraction: str, value: Scalar) -> Apply:
    parts = []
    for part in _FORMAT_PART.findall(text):
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
