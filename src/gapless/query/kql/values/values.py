"""Times as Kusto counts them, in ticks of 100 ns: datetimes from 0001-01-01, timespans signed; and their
texts. Python's own datetime has no seventh digit."""

from __future__ import annotations

import datetime as dt
import re

TICKS_PER_US = 10
TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
#: 1970-01-01 in ticks.
EPOCH_TICKS = 621_355_968_000_000_000
#: The last tick of the year 9999.
LAST_TICKS = 3_155_378_975_999_999_999
LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1

_UNIT_TICKS = {
    "d": TICKS_PER_DAY,
    "day": TICKS_PER_DAY,
    "h": 3600 * TICKS_PER_SECOND,
    "hr": 3600 * TICKS_PER_SECOND,
    "hour": 3600 * TICKS_PER_SECOND,
    "m": 60 * TICKS_PER_SECOND,
    "min": 60 * TICKS_PER_SECOND,
    "minute": 60 * TICKS_PER_SECOND,
    "s": TICKS_PER_SECOND,
    "sec": TICKS_PER_SECOND,
    "second": TICKS_PER_SECOND,
    "ms": 10_000,
    "milli": 10_000,
    "millisecond": 10_000,
    "us": 10,
    "micro": 10,
    "microsecond": 10,
    "tick": 1,
}
#: A timespan such as 1.5h or 100ms, for the lexer.
SPAN_UNITS = r"(?:days?|d|hours?|hrs?|h|minutes?|min|m|milliseconds?|millis?|ms|microseconds?|micros?|us|"
SPAN_UNITS += r"seconds?|sec|s|ticks?)"

_SPAN_WITH_UNIT = re.compile(rf"\s*(-?\d+(?:\.\d+)?)\s*({SPAN_UNITS})\s*\Z")
_SPAN_CLOCK = re.compile(r"\s*(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*\Z")
_DATETIME = re.compile(
    r"\s*(\d{4})-(\d{1,2})(?:-(\d{1,2})(?:[T ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7})\d*)?)?)?)?"
    r"\s*(Z|[+-]\d{2}:?\d{2})?\s*\Z",
    re.IGNORECASE,
)
_US_DATE = re.compile(
    r"\s*(\d{1,2})/(\d{1,2})/(\d{4})(?:\s+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?\s*(AM|PM)?)?\s*\Z",
    re.IGNORECASE,
)
_DAY_ZERO = dt.date(1, 1, 1).toordinal()


def wrapped(number: int) -> int:
    """``number`` as 64 bits hold it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def parse_timespan(text: str) -> int | None:
    """Ticks of a timespan's text: 1.5h, 1.02:03:04.5, 00:10, a bare number of days."""
    if match := _SPAN_WITH_UNIT.match(text):
        number, unit = match.groups()
        ticks = _UNIT_TICKS[unit if unit in _UNIT_TICKS else unit.rstrip("s")]
        whole, _, fraction = number.lstrip("-").partition(".")
        total = int(whole) * ticks + (int(fraction) * ticks // 10 ** len(fraction) if fraction else 0)
        return _in_range(-total if number.startswith("-") else total)
    if match := _SPAN_CLOCK.match(text):
        sign, days, hours, minutes, seconds, fraction = match.groups()
        if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
            return None
        total = (int(days or 0) * 24 + int(hours)) * 3600 + int(minutes) * 60 + int(seconds or 0)
        total = total * TICKS_PER_SECOND + int((fraction or "").ljust(7, "0"))
        return _in_range(-total if sign else total)
    if re.fullmatch(r"\s*-?\d{1,8}\s*", text):
        return _in_range(int(text) * TICKS_PER_DAY)
    return None


def _in_range(ticks: int) -> int | None:
    return ticks if LONG_MIN <= ticks <= LONG_MAX else None


def parse_datetime(text: str) -> int | None:
    """Ticks of a datetime's text (ISO 8601, or month/day/year), UTC unless it says otherwise."""
    text = text.strip().strip("\"'")
    try:
        if match := _DATETIME.match(text):
            year, month, day, hour, minute, second, fraction, zone = match.groups()
            return _checked(
                _ticks(int(year), int(month), int(day or 1), hour, minute, second, fraction)
                - _zone_ticks(zone)
            )
        if match := _US_DATE.match(text):
            month, day, year, hour, minute, second, fraction, half = match.groups()
            if half:
                hour = str(int(hour) % 12 + (12 if half.upper() == "PM" else 0))
            return _checked(_ticks(int(year), int(month), int(day), hour, minute, second, fraction))
        if re.fullmatch(r"\d{4}", text):
            return _checked(_ticks(int(text), 1, 1, None, None, None, None))
        if re.fullmatch(r"\d{8}", text):
            return _checked(_ticks(int(text[:4]), int(text[4:6]), int(text[6:]), None, None, None, None))
    except ValueError:
        return None
    return None


def _ticks(
    year: int,
    month: int,
    day: int,
    hour: str | None,
    minute: str | None,
    second: str | None,
    fraction: str | None,
) -> int:
    moment = dt.time(int(hour or 0), int(minute or 0), int(second or 0))
    days = dt.date(year, month, day).toordinal() - _DAY_ZERO
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return days * TICKS_PER_DAY + seconds * TICKS_PER_SECOND + int((fraction or "").ljust(7, "0"))


def _zone_ticks(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-minutes if zone[0] == "-" else minutes) * 60 * TICKS_PER_SECOND


def _checked(ticks: int) -> int | None:
    return ticks if 0 <= ticks <= LAST_TICKS else None


def datetime_text(ticks: int) -> str:
    """2024-09-01T00:00:00.0000000Z"""
    days, rest = divmod(ticks, TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    day = dt.date.fromordinal(days + _DAY_ZERO)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{day.year:04}-{day.month:02}-{day.day:02}T{clock}.{fraction:07}Z"


def timespan_text(ticks: int) -> str:
    """[-][days.]hh:mm:ss[.fffffff]"""
    days, rest = divmod(abs(ticks), TICKS_PER_DAY)
    seconds, fraction = divmod(rest, TICKS_PER_SECOND)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    tail = f".{fraction:07}" if fraction else ""
    return f"{'-' if ticks < 0 else ''}{f'{days}.' if days else ''}{clock}{tail}"
