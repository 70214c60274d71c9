"""Timespans of requests: ISO 8601 durations and intervals, with fractions of seconds.

Whole computations are in ticks of 100 ns, .NET's and Kusto's unit; what is finer is cut off.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from gapless.model.errors import Refused

_TICKS_PER_S = 10_000_000
_TICKS_PER_US = 10
#: In seconds; a year and a month as long as .NET's durations have them.
_UNITS = {"Y": 365 * 86_400, "M": 30 * 86_400, "W": 7 * 86_400, "D": 86_400, "h": 3600, "m": 60, "s": 1}
_NUMBER = r"(\d{1,12}(?:[.,]\d{1,12})?)"
#: Below a tenth of a millisecond, Azure's client for Python writes an exponent.
_SECONDS = r"(\d{1,12}(?:[.,]\d{1,12})?(?:e-\d{1,2})?)"
_DURATION = re.compile(
    rf"P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_SECONDS}S)?)?\Z"
)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,12}))?)?(Z|z|[+-]\d\d:?\d\d)?\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: From 0001-01-01 to 9999-12-31, in microseconds since the Unix epoch.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_800_000_000


def window_us(text: str | None, now_us: int) -> tuple[int | None, int | None]:
    """The window ``[from, to)`` that ``text`` means: a duration (up to now), or two of start, end and
    duration with a slash between them. ``(None, None)`` for none. Raises Refused for what is neither."""
    text = (text or "").strip()
    if not text:
        return None, None
    first, slash, second = text.partition("/")
    if not slash:
        # Whole microseconds of the present one, too: records of just now are in it.
        start, end = (now_us + 1) * _TICKS_PER_US - _duration(first), (now_us + 1) * _TICKS_PER_US
    elif second.startswith("P"):
        start = _moment(first)
        end = start + _duration(second)
    elif first.startswith("P"):
        end = _moment(second)
        start = end - _duration(first)
    else:
        start, end = _moment(first), _moment(second)
    # Rows have whole microseconds: a bound between two of them is as good as the next.
    from_us, to_us = -(-start // _TICKS_PER_US), -(-end // _TICKS_PER_US)
    if from_us >= to_us:
        raise Refused(f"the timespan {text[:80]!r} holds no time: give a start that is before the end")
    return max(from_us, _FIRST_US), min(to_us, _LAST_US)


def _duration(text: str) -> int:
    found = _DURATION.match(text)
    numbers = found.groups() if found else ()
    if not any(numbers) or text.endswith("T"):
        raise _unreadable(text)
    return sum(_ticks(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=True) if number)


def _moment(text: str) -> int:
    found = _MOMENT.match(text)
    try:
        if found is None:
            raise ValueError
        day, clock, fraction, zone = found.groups()
        whole = datetime.fromisoformat(f"{day}T{clock or '00:00'}{(zone or 'Z').upper()}")
    except ValueError:
        raise _unreadable(text) from None
    since = whole - _EPOCH
    return (since.days * 86_400 + since.seconds) * _TICKS_PER_S + _ticks(f"0.{fraction or 0}")


def _ticks(number: str) -> int:
    """A number of seconds, in ticks."""
    return int(Decimal(number.replace(",", ".")) * _TICKS_PER_S)


def _unreadable(text: str) -> Refused:
    return Refused(
        f"{text[:80]!r} in the timespan is no time and no duration: write for example PT6H, or "
        "2024-09-01T00:00:00Z/2024-09-02T00:00:00Z"
    )
