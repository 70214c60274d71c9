"""Functions of series: arrays of numbers, as make-series gives them."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.scalars import (
    DYNAMIC,
    Scalar,
)
from gapless.query.kql.sql import apply

FAMILY = Family("Series")


def _numbers(place: str) -> str:
    return f"from_json({place}, '[\"DOUBLE\"]')"


def _register(name: str, operator: str, summary: str) -> None:
    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        one, other = _numbers("$1"), _numbers("$2")
        pair = f"({one})[i] {operator} ({other})[i]"
        longest = f"greatest(len({one}), len({other}))"
        series = f"CAST(to_json(list_transform(range(1, {longest} + 1), lambda i: {pair})) AS VARCHAR)"
        both = "json_type($1) = 'ARRAY' AND json_type($2) = 'ARRAY'"
        return apply(f"CASE WHEN {both} THEN {series} END", arguments, DYNAMIC)

    FAMILY.function(f"{name}(a: dynamic, b: dynamic): dynamic", summary)(build)


_register("series_add", "+", "The sums, item by item.")
_register("series_subtract", "-", "The differences, item by item.")
_register("series_multiply", "*", "The products, item by item.")
