"""todatetime() and totimespan(): what has no such value is null."""

from __future__ import annotations

import re

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import (
    DATETIME,
    TIMESPAN,
    Constant,
    Scalar,
)
from gapless.query.kql.values.json_sql import let
from gapless.query.kql.values.to_text import to_string
from gapless.query.kql.values.values import (
    DATETIME_FORMS,
    EPOCH_TICKS,
    LAST_TICKS,
    MONTHS,
    OFFSET,
    SPAN_UNITS,
    TICKS_PER_DAY,
    UNIT_TICKS,
    parse_datetime,
    parse_timespan,
)

_COMMON_TEXT = (
    r"^\s*\d{4}-\d{2}-\d{2}([T ]([01]\d|2[0-3]):\d{2}(:[0-5]\d(\.\d{1,7})?)?)?"
    rf"(Z|{OFFSET.replace(':?', ':')})?\s*$"
)
_UNQUOTED = "trim(trim($1), '\"''')"


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
    """ISO 8601 in its common form by the engine's own parser; other forms part by part. What has none of
    them is null: a wrong guess of day and month is worse."""
    seventh = "coalesce(TRY_CAST(nullif(regexp_extract($1, '\\.\\d{6}(\\d)', 1), '') AS BIGINT), 0)"
    stamp = "TRY_CAST(regexp_replace(trim($1), '(\\.\\d{6})\\d', '\\1') AS TIMESTAMPTZ)"
    others = ", ".join(_by_parts(form) for form in DATETIME_FORMS)
    common = f"least(greatest(epoch_us({stamp}) * 10 + {EPOCH_TICKS} + {seventh}, -1), {LAST_TICKS + 1})"
    return (
        f"CASE WHEN regexp_matches($1, '{_COMMON_TEXT}')"
        f" THEN nullif(nullif({common}, -1), {LAST_TICKS + 1})"
        f" ELSE coalesce({others}) END"
    )


def _by_parts(form: str) -> str:
    """SQL: the ticks of a text that has the form, else NULL."""
    names = re.findall(r"\?P<(\w+)>", form)
    pattern = f"(?i)^{form}$"

    def part(name: str, default: int = 0) -> str:
        if name not in names:
            return str(default)
        return f"coalesce(TRY_CAST(nullif(m.{name}, '') AS BIGINT), {default})"

    year, month, hour, zone, fraction = part("year"), part("month", 1), part("hour"), "0", "0"
    if "name" in names:
        month = f"(position(lower(m.name) IN '{MONTHS}') + 2) // 3"
        year = f"{year} + CASE WHEN len(m.year) = 4 THEN 0 WHEN {year} < 50 THEN 2000 ELSE 1900 END"
    if "half" in names:
        after_noon = "CASE WHEN upper(m.half) = 'PM' THEN 12 ELSE 0 END"
        hour = f"CASE WHEN m.half = '' THEN {hour} ELSE {hour} % 12 + {after_noon} END"
    if "zone" in names:
        minutes = "(CAST(m.zone[2:3] AS BIGINT) * 60 + CAST(m.zone[-2:] AS BIGINT))"
        zone = f"CASE WHEN len(m.zone) < 2 THEN 0 WHEN m.zone[1] = '-' THEN -{minutes} ELSE {minutes} END"
    if "fraction" in names:
        fraction = "CAST(rpad(m.fraction, 7, '0') AS BIGINT)"
    moment = f"make_timestamp({year}, {month}, {part('day', 1)}, {hour}, {part('minute')}, {part('second')})"
    ticks = f"epoch_us(TRY({moment})) * 10 + {EPOCH_TICKS} + {fraction} - {zone} * 600000000"
    valid = f"({hour}) < 24 AND {part('second')} < 60 AND {ticks} BETWEEN 0 AND {LAST_TICKS}"
    listed = ", ".join(f"'{name}'" for name in names)
    matched = f"regexp_extract({_UNQUOTED}, '{pattern}', [{listed}])"
    known = let("m", matched, f"CASE WHEN {valid} THEN {ticks} END")
    return f"CASE WHEN regexp_matches({_UNQUOTED}, '{pattern}') THEN {known} END"


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
    days = f"CAST({part(2)} AS HUGEINT)"
    total = f"((({days} * 24 + {part(3)}) * 60 + {part(4)}) * 60 + {part(5)}) * 10000000 + {fraction}"
    signed = f"TRY_CAST(({total}) * CASE WHEN regexp_matches($1, '^\\s*-') THEN -1 ELSE 1 END AS BIGINT)"
    valid = f"regexp_matches($1, '{clock}') AND {part(3)} < 24 AND {part(4)} < 60 AND {part(5)} < 60"
    return (
        f"CASE WHEN {valid} THEN {signed}"
        f" WHEN regexp_matches($1, '^\\s*-?\\d{{1,8}}\\s*$')"
        f" THEN TRY_CAST(CAST(trim($1) AS HUGEINT) * {TICKS_PER_DAY} AS BIGINT) ELSE {_span_with_unit()} END"
    )


def _span_with_unit() -> str:
    """SQL: the ticks of a text such as 1.5h, else NULL."""
    form = rf"^\s*(-?)(\d{{1,12}})(?:\.(\d{{1,12}}))?\s*({SPAN_UNITS})\s*$"
    lengths = {f"{unit}s": length for unit, length in UNIT_TICKS.items()} | UNIT_TICKS
    units = " ".join(f"WHEN '{unit}' THEN {length}" for unit, length in lengths.items())
    digits = "CAST(m.whole || m.rest AS HUGEINT)"
    parts = "CAST(rpad('1', CAST(len(m.rest) + 1 AS INTEGER), '0') AS HUGEINT)"
    length = f"{digits} * CASE m.unit {units} END // {parts} * CASE WHEN m.sign = '' THEN 1 ELSE -1 END"
    known = f"CASE WHEN m.whole <> '' THEN TRY_CAST({length} AS BIGINT) END"
    return let("m", f"regexp_extract($1, '{form}', ['sign', 'whole', 'rest', 'unit'])", known)
