"""Days, weeks, months and years: where they begin and end. Weeks start on Sunday; all is UTC."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DATETIME,
    LONG,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import TICKS_OF_TIMESTAMP, TIMESTAMP_OF_TICKS, WHOLE_DAYS
from gapless.query.kql.values.values import LAST_TICKS, MONTHS_APART_MAX, TICKS_PER_DAY

FAMILY = Family("Calendar")


_STARTS = {
    "day": f"$1 // {TICKS_PER_DAY} * {TICKS_PER_DAY}",
    "week": f"({WHOLE_DAYS} - ({WHOLE_DAYS} + 1) % 7) * {TICKS_PER_DAY}",
    "month": TICKS_OF_TIMESTAMP.format(f"date_trunc('month', {TIMESTAMP_OF_TICKS})"),
    "year": TICKS_OF_TIMESTAMP.format(f"date_trunc('year', {TIMESTAMP_OF_TICKS})"),
}

_LENGTHS = {"day": TICKS_PER_DAY, "week": 7 * TICKS_PER_DAY}


def _shifted(unit: str, call: Call, arguments: Sequence[Scalar], last: bool) -> Scalar:
    """The beginning of the unit so many units later; with ``last``, the tick before the next one begins."""
    start: Scalar = apply(_STARTS[unit], arguments[:1], DATETIME)
    offset = arguments[1] if len(arguments) > 1 else Constant(0, LONG)
    step = "$2 + 1" if last else "$2"
    before = 1 if last else 0
    if unit in _LENGTHS:
        most = LAST_TICKS // _LENGTHS[unit] + 1
        later = f"$1 + ({step}) * {_LENGTHS[unit]} - {before}"
    else:
        most = MONTHS_APART_MAX
        months = {"month": 1, "year": 12}[unit]
        shifted = f"({TIMESTAMP_OF_TICKS} + to_months(CAST(({step}) * {months} AS INTEGER)))"
        later = f"{TICKS_OF_TIMESTAMP.format(shifted)} - {before}"
    moved = f"CASE WHEN {later} BETWEEN 0 AND {LAST_TICKS} THEN {later} END"
    return apply(f"CASE WHEN $2 BETWEEN {-most} AND {most} THEN {moved} END", (start, offset), DATETIME)


def _register_unit(unit: str) -> None:
    def start(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        if len(arguments) == 1:
            return apply(_STARTS[unit], arguments, DATETIME)
        return _shifted(unit, call, arguments, False)

    def end(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        return _shifted(unit, call, arguments, True)

    form = "(time: datetime, offset?: long): datetime"
    FAMILY.function(f"startof{unit}{form}", f"The first moment of the {unit}, or of one so many later.")(
        start
    )
    FAMILY.function(f"endof{unit}{form}", f"The last tick of the {unit}, or of one so many later.")(end)


for _unit in ("day", "week", "month", "year"):
    _register_unit(_unit)
