"""Times as Kusto counts them, in ticks of 100 ns: datetimes from 0001-01-01, timespans signed; and their
texts. Python's own datetime has no seventh digit."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

TICKS_PER_US = 10
TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
#: 1970-01-01 in ticks.
EPOCH_TICKS = 621_355_968_000_000_000
#: The last tick of the year 9999.
LAST_TICKS = 3_155_378_975_999_999_999
LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1

#: How long the units of a timespan are; each may have an s after it.
UNIT_TICKS = {
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

_SPAN_WITH_UNIT = re.compile(rf"\s*(-?\d+(?:\.\d+)?)\s*({SPAN_UNITS})\s*\Z", re.ASCII)
_SPAN_CLOCK = re.compile(
    r"\s*(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*\Z", re.ASCII
)
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,7})\d*)?)?"
#: No two times of the calendar are further apart, in months.
MONTHS_APART_MAX = 200_000
#: At most 14 hours from UTC, as .NET has it.
OFFSET = r"[+-](?:(?:0\d|1[0-3]):?[0-5]\d|14:?00)"
_ZONE = rf"\s*(?P<zone>Z|{OFFSET})?"
#: The months' names in English, three letters each.
MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTH_NAME = "(?P<name>" + "|".join(MONTHS[at : at + 3] for at in range(0, len(MONTHS), 3)) + ")"
#: The forms of a datetime's text, as regular expressions that Python and the engine read alike: ISO 8601,
#: its short forms, month/day/year, RFC 822 and RFC 850.
DATETIME_FORMS = (
    rf"(?P<year>\d{{4}})-(?P<month>\d{{1,2}})(?:-(?P<day>\d{{1,2}})(?:[T ]\s*{_CLOCK})?)?{_ZONE}",
    r"(?P<year>\d{4})(?:(?P<month>\d{2})(?P<day>\d{2}))?",
    rf"(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})/(?P<year>\d{{4}})(?:\s+{_CLOCK}\s*(?P<half>AM|PM)?)?",
    rf"(?:[a-z]{{3,9}},\s*)?(?P<day>\d{{1,2}})[- ]{_MONTH_NAME}[- ](?P<year>\d{{4}}|\d{{2}})\s+{_CLOCK}"
    r"(?:\s*(?:GMT|UTC|Z))?",
)
_DATETIME_FORMS = tuple(re.compile(form, re.IGNORECASE | re.ASCII) for form in DATETIME_FORMS)
_DAY_ZERO = dt.date(1, 1, 1).toordinal()


def wrapped(number: int) -> int:
    """``number`` as 64 bits hold it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def parse_timespan(text: str) -> int | None:
    """Ticks of a timespan's text: 1.5h, 1.02:03:04.5, 00:10, a bare number of days."""
    if match := _SPAN_WITH_UNIT.match(text):
        number, unit = match.groups()
        ticks = UNIT_TICKS[unit if unit in UNIT_TICKS else unit.rstrip("s")]
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
    if re.fullmatch(r"\s*-?\d{1,8}\s*", text, re.ASCII):
        return _in_range(int(text) * TICKS_PER_DAY)
    return None


def _in_range(ticks: int) -> int | None:
    return ticks if LONG_MIN <= ticks <= LONG_MAX else None


def parse_datetime(text: str) -> int | None:
    """Ticks of a datetime's text in one of DATETIME_FORMS, UTC unless it says otherwise."""
    text = text.strip().strip("\"'")
    for form in _DATETIME_FORMS:
        if match := form.fullmatch(text):
            try:
                return _checked(_ticks(match.groupdict()))
            except ValueError:
                return None
    return None


def _ticks(parts: Mapping[str, str | None]) -> int:
    def part(name: str, default: int = 0) -> int:
        return int(parts.get(name) or default)

    year, month, hour = part("year"), part("month", 1), part("hour")
    if name := parts.get("name"):
        month = MONTHS.index(name.lower()) // 3 + 1
        # As .NET reads years of two digits.
        year += 0 if year > 99 else 2000 if year < 50 else 1900
    if half := parts.get("half"):
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    moment = dt.time(hour, part("minute"), part("second"))
    days = dt.date(year, month, part("day", 1)).toordinal() - _DAY_ZERO
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    fraction = int((parts.get("fraction") or "").ljust(7, "0"))
    return days * TICKS_PER_DAY + seconds * TICKS_PER_SECOND + fraction - _zone_ticks(parts.get("zone"))


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
