"""Days, weeks, months and years: where they begin and end. Weeks start on Sunday; all is UTC."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.forms import TICKS_OF_TIMESTAMP, TIMESTAMP_OF_TICKS, WHOLE_DAYS
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.scalars import (
    DATETIME,
    Constant,
    Scalar,
)
from gapless.query.kql.sql import apply
from gapless.query.kql.values import LAST_TICKS, TICKS_PER_DAY

FAMILY = Family("Calendar")


def _add(moment: Scalar, span: int) -> Scalar:
    sql = f"$1 + {span}"
    return apply(f"CASE WHEN {sql} BETWEEN 0 AND {LAST_TICKS} THEN {sql} END", (moment,), DATETIME)


_STARTS = {
    "day": f"$1 // {TICKS_PER_DAY} * {TICKS_PER_DAY}",
    "week": f"({WHOLE_DAYS} - ({WHOLE_DAYS} + 1) % 7) * {TICKS_PER_DAY}",
    "month": TICKS_OF_TIMESTAMP.format(f"date_trunc('month', {TIMESTAMP_OF_TICKS})"),
    "year": TICKS_OF_TIMESTAMP.format(f"date_trunc('year', {TIMESTAMP_OF_TICKS})"),
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
        f"CASE WHEN year({later}) BETWEEN 1 AND 9999 THEN {TICKS_OF_TIMESTAMP.format(later)} END",
        (start,),
        DATETIME,
    )


def _end(unit: str, moment: Scalar, offset: Scalar | None, call: Call) -> Scalar:
    count = 0 if offset is None else call.constant(offset, "an offset").value
    if count is None:
        return Constant(None, DATETIME)
    start: Scalar = apply(_STARTS[unit], (moment,), DATETIME)
    if unit in _LENGTHS:
        return _add(start, (count + 1) * _LENGTHS[unit] - 1)
    later = f"({TIMESTAMP_OF_TICKS} + {_INTERVALS[unit]}(CAST({count + 1} AS INTEGER)))"
    return apply(f"{TICKS_OF_TIMESTAMP.format(later)} - 1", (start,), DATETIME)


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
