"""Percentiles: the least value that so many percent of all do not exceed; with weights, of their sum."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.aggregates.call import (
    AggregateCall,
    AggregateFamily,
    AggregateFunction,
    BuildAggregate,
)
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import DYNAMIC, LONG, NUMBERS, REAL, Constant, Scalar
from gapless.query.kql.values.conversions import as_type, to_dynamic
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.json_sql import let

FAMILY = AggregateFamily()
_PERCENTAGES_MAX = 100


def _share(call: AggregateCall, percentage: object) -> float:
    """A percentage, which must be known, as a share of 1."""
    known = percentage.value if isinstance(percentage, Constant) else percentage
    if isinstance(known, bool) or not isinstance(known, int | float):
        raise call.error("needs a percentage that is known")
    if not 0 <= known <= 100:
        raise call.error("needs a percentage from 0 to 100")
    return known / 100


def _value(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name == "dynamic":
        value = as_type(value, REAL)
    if value.type.name not in (*NUMBERS, "timespan", "datetime"):
        raise call.error(f"is not there for {value.type.name}")
    return as_type(value, LONG) if value.type.name == "int" else value


def _percentile(call: AggregateCall) -> Scalar:
    value = _value(call)
    return call.apply(
        f"quantile_disc($1, {_share(call, call.arguments[1])!r}){{where}}", (value,), value.type
    )


def _percentilew(call: AggregateCall) -> Scalar:
    value, weight = _value(call), as_type(call.arguments[1], LONG)
    # Values in order, with what all weights up to each are together.
    total = "list_sum(list_transform(s, lambda e: e.w))"
    reached = "CASE WHEN done.sum + e.w >= target THEN e.v END"
    step = f"{{'sum': done.sum + e.w, 'found': coalesce(done.found, {reached})}}"
    kind = "DOUBLE" if value.type == REAL else "TIMESTAMPTZ" if value.type.form == "us" else "BIGINT"
    start = f"{{'sum': CAST(0 AS HUGEINT), 'found': CAST(NULL AS {kind})}}"
    found = f"list_reduce(s, lambda done, e: {step}, {start}).found"
    rows = "list({'v': $1, 'w': CAST($2 AS HUGEINT)} ORDER BY $1){where}"
    sql = let("s", rows, let("target", f"{total} * {_share(call, call.arguments[2])!r}", found))
    return call.filtered("$1 IS NOT NULL AND $2 > 0", sql, (value, weight), value.type, False)


def _array(call: AggregateCall, build: BuildAggregate, given: int) -> Scalar:
    """An array of percentiles; the percentages stand after so many arguments, or in an array there."""
    percentages: list[object] = []
    for argument in call.arguments[given:]:
        known = argument.value if isinstance(argument, Constant) else argument
        percentages.extend(known if isinstance(known, list) else [argument])
    if not percentages:
        raise call.error("needs percentages")
    if len(percentages) > _PERCENTAGES_MAX:
        raise call.error(f"takes {_PERCENTAGES_MAX} percentages at most")
    shares = [Constant(_share(call, each) * 100, REAL) for each in percentages]
    found = [build(replace(call, arguments=[*call.arguments[:given], share])) for share in shares]
    values = [to_dynamic(ticks(each)) for each in found]
    parts = ", ".join(f"coalesce(${place}, 'null')" for place in range(1, len(values) + 1))
    return apply(f"concat('[', concat_ws(',', {parts}), ']')", values, DYNAMIC)


def _percentiles_array(call: AggregateCall) -> Scalar:
    return _array(call, _percentile, 1)


def _percentilesw_array(call: AggregateCall) -> Scalar:
    return _array(call, _percentilew, 2)


def _add_array(name: str, form: str, least: int, build: BuildAggregate, summary: str) -> None:
    FAMILY.functions[name] = AggregateFunction(
        name, form, least, least + _PERCENTAGES_MAX, build, summary, "percentiles"
    )


FAMILY.add("percentile(value, percentage)", _percentile, "The value that so many percent do not exceed.")
FAMILY.add(
    "percentilew(value, weight, percentage)",
    _percentilew,
    "The value that so many percent do not exceed, where each counts as often as its weight.",
    prefix="percentile",
)
_add_array(
    "percentiles_array",
    "percentiles_array(value, percentage, ...)",
    2,
    _percentiles_array,
    "An array of percentiles.",
)
_add_array(
    "percentilesw_array",
    "percentilesw_array(value, weight, percentage, ...)",
    3,
    _percentilesw_array,
    "An array of percentiles of values with weights.",
)
