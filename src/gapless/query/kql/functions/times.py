"""Functions of datetimes and timespans. Weeks start on Sunday; all is UTC."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DATETIME,
    INT,
    LONG,
    REAL,
    TIMESPAN,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import TICKS_OF_TIMESTAMP, TIMESTAMP_OF_TICKS, WHOLE_DAYS
from gapless.query.kql.values.values import (
    EPOCH_TICKS,
    LAST_TICKS,
    LONG_MAX,
    MONTHS_APART_MAX,
    TICKS_PER_DAY,
    TICKS_PER_SECOND,
)

FAMILY = Family("Times")


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
    in_time = f"$1 BETWEEN {call.now_ticks - LAST_TICKS} AND {call.now_ticks}"
    return apply(f"CASE WHEN {in_time} THEN {call.now_ticks} - $1 END", (span,), DATETIME)


PARTS = {
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
    return apply(f"CAST({PARTS[part]} AS INTEGER)", (moment,), INT)


for _name, _unit, _aliases in (
    ("getyear", "year", ()),
    ("monthofyear", "month", ("getmonth",)),
    ("dayofmonth", "day", ()),
    ("dayofyear", "dayofyear", ()),
    ("hourofday", "hour", ()),
    ("week_of_year", "weekofyear", ("weekofyear",)),
):
    FAMILY.sql(
        f"{_name}(time: datetime): int",
        f"CAST({PARTS[_unit]} AS INTEGER)",
        f"The {_unit} of a time.",
        _aliases,
    )


@FAMILY.function("dayofweek(time: datetime): timespan", "Days since the last Sunday, as a timespan.")
def _dayofweek(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    # The last tick of all time has no day of the week in Kusto.
    sql = f"CASE WHEN $1 < {LAST_TICKS} THEN ({WHOLE_DAYS} + 1) % 7 * {TICKS_PER_DAY} END"
    return apply(sql, arguments, TIMESPAN)


@FAMILY.function(
    "datetime_part(const part: string, time: datetime): int",
    "A part of a time: year, month, day, ...",
    ["datepart"],
)
def _datetime_part(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    part = str(call.constant(arguments[0], "a part").value).lower()
    if part not in PARTS:
        raise call.error(f"knows no part {part!r}: it knows {', '.join(PARTS)}")
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
    ticks = f"{TICKS_OF_TIMESTAMP.format(later)} + $1 % 10"
    in_range = f"$2 BETWEEN {-MONTHS_APART_MAX} AND {MONTHS_APART_MAX} AND year({later}) BETWEEN 1 AND 9999"
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
    sql = f"CASE WHEN {valid} THEN {TICKS_OF_TIMESTAMP.format(day)} + {clock} END"
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
    whole_days = LONG_MAX // TICKS_PER_DAY - 1  # and any time of the day
    valid = f"$1 BETWEEN 0 AND {whole_days} AND $2 BETWEEN 0 AND 23 AND $3 BETWEEN 0 AND 59"
    valid += " AND $4 >= 0 AND $4 < 60"
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
    # So many at most: what is beyond would overflow.
    _most = LAST_TICKS * _per_second // TICKS_PER_SECOND
    _in_time = f"CASE WHEN {_sql} BETWEEN {-EPOCH_TICKS} AND {LAST_TICKS - EPOCH_TICKS}"
    _in_time += f" THEN {EPOCH_TICKS} + {_sql} END"
    FAMILY.sql(
        f"unixtime_{_name}_todatetime(value: long): datetime",
        f"CASE WHEN $1 BETWEEN {-_most} AND {_most} THEN {_in_time} END" if _most < LONG_MAX else _in_time,
        f"The time so many {_name} after 1970.",
    )
