"""Aggregates of counts, sums, extremes and spreads."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.aggregates.call import AggregateCall, AggregateFamily, BuildAggregate
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.relational.scalars import BOOL, LONG, NUMBERS, REAL, Scalar, Type
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.numbers import wrapped_sql

FAMILY = AggregateFamily()


def _number(call: AggregateCall, index: int = 0) -> Scalar:
    value = call.arguments[index]
    if value.type.name == "dynamic":
        return as_type(value, REAL)
    if value.type.name not in (*NUMBERS, "timespan"):
        raise call.error(f"needs numbers, not {value.type.name}: use todouble() or tolong()")
    return value


def _count(call: AggregateCall) -> Scalar:
    return call.apply("count(*){where}", (), LONG)


def _sum(call: AggregateCall) -> Scalar:
    value = _number(call)
    if value.type.name == "real":
        return call.apply("coalesce(sum($1){where}, CAST(0 AS DOUBLE))", (value,), REAL)
    return call.apply(
        wrapped_sql("coalesce(sum($1){where}, 0)"), (value,), LONG if value.type.name == "int" else value.type
    )


def _avg(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name in ("timespan", "datetime"):
        # Integers are summed exactly; a double would round ticks.
        sql = "CAST((sum($1){where}) // nullif(count($1){where}, 0) AS BIGINT)"
        return call.apply(sql, (ticks(value),), Type(value.type.name))
    number = _number(call)
    if number.type.name in ("int", "long"):
        # The sum has 64 bits, and wraps around beyond them.
        sql = f"CAST({wrapped_sql('sum($1){where}')} AS DOUBLE) / nullif(count($1){{where}}, 0)"
        return call.apply(f"coalesce({sql}, CAST('nan' AS DOUBLE))", (number,), REAL)
    return call.apply("coalesce(avg($1){where}, CAST('nan' AS DOUBLE))", (as_type(number, REAL),), REAL)


def _spread(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        value = as_type(_number(call), REAL)
        return call.apply(f"coalesce({function}($1){{where}}, 0)", (value,), REAL)

    return build


def _together(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        values = [as_type(_number(call, place), REAL) for place in (0, 1)]
        return call.apply(f"coalesce({function}($1, $2){{where}}, 0)", values, REAL)

    return build


def _extreme(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        value = call.arguments[0]
        if value.type.name in ("dynamic", "bool"):
            raise call.error(
                f"is not supported over {value.type.name}: convert it, with tostring() for example"
            )
        if value.type.name == "real":
            # The engine holds NaN for the greatest number; here it wins over all others.
            nan = call.apply("coalesce(bool_or(isnan($1)){where}, FALSE)", (value,), BOOL)
            plain = call.apply(f"{function}($1){{where}}", (value,), REAL)
            return apply("CASE WHEN $1 THEN CAST('nan' AS DOUBLE) ELSE $2 END", (nan, plain), REAL)
        if value.type.name == "string":
            value = certain_text(value)
            return call.apply(f"coalesce({function}($1){{where}}, '')", (value,), value.type)
        return call.apply(f"{function}($1){{where}}", (value,), value.type)

    return build


def _dcount(call: AggregateCall) -> Scalar:
    value = certain_text(call.arguments[0])
    return call.apply("count(DISTINCT $1){where}", (value,), LONG)


def _take_any(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name == "string":
        filled = apply("nullif($1, '')", (value,), value.type)
        return call.apply("coalesce(any_value($1){where}, '')", (filled,), Type("string"))
    return call.apply("any_value($1){where}", (value,), value.type)


def _binary_all(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        return call.apply(f"{function}($1){{where}}", (as_type(call.arguments[0], LONG),), LONG)

    return build


FAMILY.add("count()", _count, "The number of rows.", conditional="countif")
FAMILY.add("sum(value)", _sum, "The sum; 0 of no values.", conditional="sumif")
FAMILY.add("avg(value)", _avg, "The average; NaN of no values.", conditional="avgif")
FAMILY.add("min(value)", _extreme("min"), "The least value.", conditional="minif")
FAMILY.add("max(value)", _extreme("max"), "The greatest value.", conditional="maxif")
FAMILY.add(
    "stdev(value)", _spread("stddev_samp"), "The standard deviation of a sample.", conditional="stdevif"
)
FAMILY.add("stdevp(value)", _spread("stddev_pop"), "The standard deviation of all.")
FAMILY.add("variance(value)", _spread("var_samp"), "The variance of a sample.", conditional="varianceif")
FAMILY.add("variancep(value)", _spread("var_pop"), "The variance of all.")
FAMILY.add(
    "covariance(x, y)",
    _together("covar_samp"),
    "How two values vary together, in a sample.",
    conditional="covarianceif",
)
FAMILY.add(
    "covariancep(x, y)",
    _together("covar_pop"),
    "How two values vary together, in all.",
    conditional="covariancepif",
)
FAMILY.add(
    "dcount(value, accuracy)",
    _dcount,
    "The number of different values, counted exactly.",
    conditional="dcountif",
    optional=1,
)
FAMILY.add(
    "count_distinct(value)", _dcount, "The number of different values.", conditional="count_distinctif"
)
FAMILY.add(
    "take_any(value)",
    _take_any,
    "A value of some row.",
    prefix="",
    conditional="take_anyif",
)
FAMILY.functions["any"] = replace(FAMILY.functions["take_any"], name_prefix="any")
FAMILY.functions["anyif"] = replace(FAMILY.functions["take_anyif"], name_prefix="anyif")
for _word, _function in (("and", "bit_and"), ("or", "bit_or"), ("xor", "bit_xor")):
    FAMILY.add(
        f"binary_all_{_word}(value)",
        _binary_all(_function),
        f"Bitwise {'exclusive or' if _word == 'xor' else _word} of all values.",
        prefix="",
    )
