"""Times of zones: names are those of the time zone database, such as Europe/Paris."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DATETIME, Constant, Scalar
from gapless.query.kql.values.forms import TICKS_OF_TIMESTAMP, TIMESTAMP_OF_TICKS

FAMILY = Family("Time zones")


def _checked(call: Call, zone: Scalar) -> None:
    if isinstance(zone, Constant) and zone.value not in zoneinfo.available_timezones():
        raise call.error(f"there is no time zone {zone.value!r}: use a name such as Europe/Paris")


@FAMILY.function(
    "datetime_local_to_utc(time: datetime, zone: string): datetime",
    "The time, in UTC, at which the clocks of a zone show that time.",
)
def _local_to_utc(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    _checked(call, arguments[1])
    moved = f"timezone('UTC', timezone($2, {TIMESTAMP_OF_TICKS}))"
    return apply(f"{TICKS_OF_TIMESTAMP.format(moved)} + $1 % 10", arguments, DATETIME)


@FAMILY.function(
    "datetime_utc_to_local(time: datetime, zone: string): datetime",
    "What the clocks of a zone show at a time in UTC.",
)
def _utc_to_local(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    _checked(call, arguments[1])
    moved = f"timezone($2, timezone('UTC', {TIMESTAMP_OF_TICKS}))"
    return apply(f"{TICKS_OF_TIMESTAMP.format(moved)} + $1 % 10", arguments, DATETIME)
