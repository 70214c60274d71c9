"""Sketches of sets of values: hll() and what is made of it. They are exact: a sketch holds the values."""

from __future__ import annotations

from gapless.query.kql.aggregates.call import AggregateCall, AggregateFamily
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.json_sql import certain_array_text

FAMILY = AggregateFamily()


def _hll(call: AggregateCall) -> Scalar:
    item = to_dynamic(certain_text(call.arguments[0]))
    texts = certain_array_text("list(DISTINCT $1){where}")
    return call.filtered("$1 IS NOT NULL", texts, (item,), DYNAMIC, False)


def _hll_merge(call: AggregateCall) -> Scalar:
    sketch = call.arguments[0]
    if sketch.type.name != "dynamic":
        raise call.error(f"needs sketches of hll(), not {sketch.type.name}")
    texts = apply(
        "from_json(CASE WHEN json_type($1) = 'ARRAY' THEN $1 END, '[\"VARCHAR\"]')", (sketch,), DYNAMIC
    )
    merged = certain_array_text("list_distinct(flatten(list($1){where}))")
    return call.apply(merged, (texts,), DYNAMIC)


FAMILY.add(
    "hll(value, accuracy)",
    _hll,
    "A sketch of the different values, for dcount_hll().",
    conditional="hll_if",
    optional=1,
)
FAMILY.add("hll_merge(sketch)", _hll_merge, "One sketch of several.", aliases=("merge_hll",))
