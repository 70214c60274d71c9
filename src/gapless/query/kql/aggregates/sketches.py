"""Sketches of sets of values: hll() and what is made of it. They are exact: a sketch holds the values."""

from __future__ import annotations

from gapless.query.kql.aggregates.call import AggregateCall, AggregateFamily
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text

FAMILY = AggregateFamily()


def _hll(call: AggregateCall) -> Scalar:
    item = to_dynamic(certain_text(call.arguments[0]))
    texts = "list(DISTINCT $1){where}"
    return call.filtered(
        "$1 IS NOT NULL", f"coalesce(CAST(to_json({texts}) AS VARCHAR), '[]')", (item,), DYNAMIC, False
    )


def _hll_merge(call: AggregateCall) -> Scalar:
    sketch = call.arguments[0]
    if sketch.type.name != "dynamic":
        raise call.error(f"needs sketches of hll(), not {sketch.type.name}")
    texts = apply(
        "from_json(CASE WHEN json_type($1) = 'ARRAY' THEN $1 END, '[\"VARCHAR\"]')", (sketch,), DYNAMIC
    )
    merged = "list_distinct(flatten(list($1){where}))"
    return call.apply(f"coalesce(CAST(to_json({merged}) AS VARCHAR), '[]')", (texts,), DYNAMIC)


FAMILY.add(
    "hll(value, accuracy)",
    _hll,
    "A sketch of the different values, for dcount_hll().",
    conditional="hll_if",
    optional=1,
)
FAMILY.add("hll_merge(sketch)", _hll_merge, "One sketch of several.", aliases=("merge_hll",))
