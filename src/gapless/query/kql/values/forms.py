"""The forms in which the engine holds values: each type's own, and those of tables."""

from __future__ import annotations

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    DATETIME,
    DATETIME_US,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_DAY

#: A TIMESTAMP, to the microsecond, of ticks.
TIMESTAMP_OF_TICKS = f"make_timestamp($1 // 10 - {EPOCH_TICKS // 10})"
#: Ticks of a TIMESTAMP, or of a time as tables hold it.
TICKS_OF_TIMESTAMP = f"(epoch_us({{}}) * 10 + {EPOCH_TICKS})"
#: Days since 0001-01-01, a Monday, of ticks.
WHOLE_DAYS = f"($1 // {TICKS_PER_DAY})"


def certain_text(value: Scalar) -> Scalar:
    """A string that is not held as NULL; other values as they are."""
    if value.type.form != "nullable":
        return value
    return apply("coalesce($1, '')", (value,), STRING)


def ticks(value: Scalar) -> Scalar:
    """A datetime in ticks; other values as they are."""
    if value.type.form != "us":
        return value
    if isinstance(value, Constant):
        return Constant(value.value, DATETIME)
    return apply(TICKS_OF_TIMESTAMP.format("$1"), (value,), DATETIME)


def in_us(value: Scalar) -> Scalar | None:
    """A datetime constant in the form that tables hold; None if that loses a part of it."""
    if not isinstance(value, Constant) or (value.value is not None and value.value % 10):
        return None
    return Constant(value.value, DATETIME_US)
