"""todatetime() and totimespan(): what has no such value is null."""

from __future__ import annotations

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    DATETIME,
    TIMESPAN,
    Constant,
    Scalar,
)
from gapless.query.kql.values.to_text import to_string
from gapless.query.kql.values.values import (
    EPOCH_TICKS,
    LAST_TICKS,
    TICKS_PER_DAY,
    parse_datetime,
    parse_timespan,
)

_TIME_TEXT = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,7})?)?)?\s*(Z|[+-]\d{2}:\d{2})?\s*$"


def to_datetime(value: Scalar) -> Scalar:
    """todatetime()"""
    name = value.type.name
    if name in ("string", "dynamic"):
        text = to_string(value)
        if isinstance(text, Constant):
            return Constant(parse_datetime(text.value), DATETIME)
        return apply(_datetime_of_text(), (text,), DATETIME)
    if name in ("int", "long"):
        return apply(
            f"CASE WHEN $1 BETWEEN 0 AND {LAST_TICKS} THEN CAST($1 AS BIGINT) END", (value,), DATETIME
        )
    return Constant(None, DATETIME)


def _datetime_of_text() -> str:
    """ISO 8601 by rule; what has another form is left to none: a wrong guess of day and month is worse."""
    seventh = "coalesce(TRY_CAST(nullif(regexp_extract($1, '\\.\\d{6}(\\d)', 1), '') AS BIGINT), 0)"
    stamp = "TRY_CAST(regexp_replace(trim($1), '(\\.\\d{6})\\d', '\\1') AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN regexp_matches($1, '{_TIME_TEXT}')"
        f" THEN epoch_us({stamp}) * 10 + {EPOCH_TICKS} + {seventh}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{4}}-\\d{{2}}\\s*$')"
        f" THEN epoch_us(TRY_CAST(trim($1) || '-01' AS TIMESTAMPTZ)) * 10 + {EPOCH_TICKS}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{1,2}}/\\d{{1,2}}/\\d{{4}}\\s*$')"
        f" THEN epoch_us(TRY_CAST(try_strptime(trim($1), '%m/%d/%Y') AS TIMESTAMPTZ)) * 10 + {EPOCH_TICKS}"
        f" WHEN regexp_matches($1, '^\\s*\\d{{1,2}}/\\d{{1,2}}/\\d{{4}} \\d{{1,2}}:\\d{{2}}:\\d{{2}}"
        f" [AP]M\\s*$')"
        f" THEN epoch_us(CAST(try_strptime(trim($1), '%m/%d/%Y %I:%M:%S %p') AS TIMESTAMPTZ)) * 10"
        f" + {EPOCH_TICKS} END"
    )


def to_timespan(value: Scalar) -> Scalar:
    """totimespan()"""
    name = value.type.name
    if name in ("string", "dynamic"):
        text = to_string(value)
        if isinstance(text, Constant):
            return Constant(parse_timespan(text.value), TIMESPAN)
        return apply(_timespan_of_text(), (text,), TIMESPAN)
    if name in ("int", "long"):
        return apply("CAST($1 AS BIGINT)", (value,), TIMESPAN)
    return Constant(None, TIMESPAN)


def _timespan_of_text() -> str:
    clock = r"^\s*(-)?(?:(\d{1,8})\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*$"

    def part(group: int) -> str:
        return f"coalesce(TRY_CAST(nullif(regexp_extract($1, '{clock}', {group}), '') AS BIGINT), 0)"

    fraction = f"CAST(rpad(regexp_extract($1, '{clock}', 6), 7, '0') AS BIGINT)"
    total = f"((({part(2)} * 24 + {part(3)}) * 60 + {part(4)}) * 60 + {part(5)}) * 10000000 + {fraction}"
    signed = f"({total}) * CASE WHEN regexp_matches($1, '^\\s*-') THEN -1 ELSE 1 END"
    valid = f"regexp_matches($1, '{clock}') AND {part(3)} < 24 AND {part(4)} < 60 AND {part(5)} < 60"
    return (
        f"CASE WHEN {valid} THEN {signed}"
        f" WHEN regexp_matches($1, '^\\s*-?\\d{{1,7}}\\s*$')"
        f" THEN TRY_CAST(trim($1) AS BIGINT) * {TICKS_PER_DAY} END"
    )
