"""Functions of arrays as sets."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    LONG,
    REAL,
    Scalar,
)
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.json_sql import items

FAMILY = Family("Sets")


@FAMILY.function("set_union(...arrays: dynamic): dynamic", "The different items of all arrays.")
def _set_union(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    lists = ", ".join(f"coalesce({items(f'${index}')}, [])" for index in range(1, len(arguments) + 1))
    return apply(_first_of_each(f"flatten([{lists}])"), arguments, DYNAMIC)


def _first_of_each(listed: str, condition: str = "TRUE") -> str:
    texts = f"list_transform({listed}, lambda each: CAST(each AS VARCHAR))"
    kept = f"list_filter({texts}, lambda e, i: i = list_position({texts}, e) AND {condition})"
    return f"concat('[', array_to_string({kept}, ','), ']')"


@FAMILY.function("set_intersect(...arrays: dynamic): dynamic", "The different items that all arrays have.")
def _set_intersect(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _set_by(call, arguments, "list_contains({texts}, e)")


@FAMILY.function(
    "set_difference(...arrays: dynamic): dynamic", "The different items of the first array alone."
)
def _set_difference(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _set_by(call, arguments, "NOT list_contains({texts}, e)")


def _set_by(call: Call, arguments: Sequence[Scalar], condition: str) -> Scalar:
    if not arguments:
        raise call.error("needs arrays")
    conditions = []
    for index in range(2, len(arguments) + 1):
        texts = f"list_transform(coalesce({items(f'${index}')}, []), lambda each: CAST(each AS VARCHAR))"
        conditions.append(condition.format(texts=texts))
    return apply(
        _first_of_each(f"coalesce({items('$1')}, [])", " AND ".join(conditions) or "TRUE"), arguments, DYNAMIC
    )


@FAMILY.function("set_has_element(set: dynamic, value: any): bool", "Whether an array has a value.")
def _set_has_element(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    texts = f"list_transform({items('$1')}, lambda each: CAST(each AS VARCHAR))"
    sought = to_dynamic(arguments[1])
    return apply(f"list_contains({texts}, CAST($2 AS VARCHAR))", (arguments[0], sought), BOOL)


@FAMILY.function("jaccard_index(a: dynamic, b: dynamic): real", "How alike two sets are, from 0 to 1.")
def _jaccard_index(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other = (
        f"list_distinct(list_transform({items(place)}, lambda each: CAST(each AS VARCHAR)))"
        for place in ("$1", "$2")
    )
    both = f"len(list_intersect({one}, {other}))"
    return apply(f"{both} / nullif(CAST(len({one}) + len({other}) - {both} AS DOUBLE), 0)", arguments, REAL)


@FAMILY.function("dcount_hll(sketch: dynamic): long", "The number of different values in a sketch of hll().")
def _dcount_hll(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = "CASE WHEN json_type($1) = 'ARRAY' THEN CAST(json_array_length($1) AS BIGINT) END"
    return apply(sql, arguments, LONG)


@FAMILY.function("hll_merge(...sketches: dynamic): dynamic", "One sketch of several of hll().")
def _hll_merge(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _set_union(call, arguments)
