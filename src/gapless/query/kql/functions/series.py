"""Functions of series, item by item. A series is an array of numbers, as make-series gives them; an item that
is no number gives null."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.json_sql import array_text, is_array, numbers, numbers_text

FAMILY = Family("Series, item by item")


def _register_each(name: str, sql: str, summary: str) -> None:
    """A function of each item x."""

    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        made = f"list_transform({numbers('$1')}, lambda x: {sql})"
        return apply(f"CASE WHEN {is_array('$1')} THEN {numbers_text(made)} END", arguments, DYNAMIC)

    FAMILY.function(f"{name}(series: dynamic): dynamic", summary)(build)


def _register_pairs(name: str, sql: str, summary: str, is_test: bool = False) -> None:
    """A function of the items x and y at the same place of two series; a number stands for a series of it
    alone."""

    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        pairs = f"list_zip({_repeated('$1', '$2')}, {_repeated('$2', '$1')})"
        value = sql.format(x="struct_extract_at(p, 1)", y="struct_extract_at(p, 2)")
        made = f"list_transform({pairs}, lambda p: {value})"
        text = array_text(made) if is_test else numbers_text(made)
        given = "json_type($1) IN ('ARRAY', 'UBIGINT', 'BIGINT', 'DOUBLE')"
        given += " AND json_type($2) IN ('ARRAY', 'UBIGINT', 'BIGINT', 'DOUBLE')"
        condition = f"({is_array('$1')} OR {is_array('$2')}) AND {given}"
        values = [to_dynamic(argument) for argument in arguments]
        return apply(f"CASE WHEN {condition} THEN {text} END", values, DYNAMIC)

    FAMILY.function(f"{name}(a: any, b: any): dynamic", summary)(build)


def _repeated(place: str, other: str) -> str:
    """SQL: the list of a series; of a number, as many of it as the other series has items."""
    size = f"CAST(json_array_length({other}) AS BIGINT)"
    repeated = f"list_transform(range(0, {size}), lambda i: TRY_CAST({place} AS DOUBLE))"
    return f"CASE WHEN {is_array(place)} THEN {numbers(place)} ELSE {repeated} END"


#: The value outside of what a function is there for.
_NAN = "WHEN x IS NOT NULL THEN CAST('nan' AS DOUBLE) END"
_LOG = f"CASE WHEN x > 0 THEN ln(x) WHEN x = 0 THEN CAST('-inf' AS DOUBLE) {_NAN}"

for _name, _sql, _summary in (
    ("series_abs", "abs(x)", "The values without their signs."),
    ("series_acos", f"CASE WHEN x BETWEEN -1 AND 1 THEN acos(x) {_NAN}", "The angles with these cosines."),
    ("series_asin", f"CASE WHEN x BETWEEN -1 AND 1 THEN asin(x) {_NAN}", "The angles with these sines."),
    ("series_atan", "atan(x)", "The angles with these tangents."),
    ("series_ceiling", "ceil(x)", "Each rounded up to a whole number."),
    ("series_cos", "cos(x)", "The cosines."),
    ("series_exp", "exp(x)", "e to these powers."),
    ("series_floor", "floor(x)", "Each rounded down to a whole number."),
    ("series_log", _LOG, "The natural logarithms."),
    ("series_sign", "CAST(sign(x) AS DOUBLE)", "-1, 0 or 1 for each."),
    ("series_sin", "sin(x)", "The sines."),
    ("series_tan", "tan(x)", "The tangents."),
):  # fmt: skip
    _register_each(_name, _sql, _summary)

for _name, _sql, _summary in (
    ("series_add", "{x} + {y}", "The sums, item by item."),
    ("series_subtract", "{x} - {y}", "The differences, item by item."),
    ("series_multiply", "{x} * {y}", "The products, item by item."),
    ("series_divide", "{x} / {y}", "The quotients, item by item."),
    ("series_pow", "pow({x}, {y})", "The powers, item by item."),
):
    _register_pairs(_name, _sql, _summary)
for _name, _sign, _words in (
    ("series_equals", "=", "equal to"),
    ("series_not_equals", "<>", "different from"),
    ("series_greater", ">", "greater than"),
    ("series_greater_equals", ">=", "not less than"),
    ("series_less", "<", "less than"),
    ("series_less_equals", "<=", "not greater than"),
):
    _register_pairs(_name, f"{{x}} {_sign} {{y}}", f"Whether items are {_words} those of the other.", True)
