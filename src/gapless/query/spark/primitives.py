"""What Spark has with exactly the meaning that it has in DuckDB, as tables.

Not in them, though Spark has something of that name: division of doubles (NULL by zero), isnan (false of
NULL), lower and upper (more than one character for one), casts between text and doubles (another format),
regular expressions (Java's), JSON (paths, key order and numbers), concat (NULL of NULL), length.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gapless.query.spark.kinds import BIGINT, BOOLEAN, DOUBLE, HUGEINT, INT, JSON, TEXT, TIME, is_ordered

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)
#: Both engines refuse what goes beyond an integer's size.
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul)
#: Towards zero; NULL divisors give NULL.
OF_INTEGERS = (exp.IntDiv, exp.Mod)

#: DuckDB's function: Spark's name, types of its arguments and of its value.
FUNCTIONS: dict[type[exp.Expression] | str, tuple[str, tuple[str, ...], str]] = {
    exp.Contains: ("contains", (TEXT, TEXT), BOOLEAN),
    exp.StartsWith: ("startswith", (TEXT, TEXT), BOOLEAN),
    exp.EndsWith: ("endswith", (TEXT, TEXT), BOOLEAN),
    "epoch_us": ("unix_micros", (TIME,), BIGINT),
    "make_timestamptz": ("timestamp_micros", (BIGINT,), TIME),
}

#: From type to types: casts that give the same value, or fail in both engines.
CASTS = {
    INT: {INT, BIGINT, DOUBLE, TEXT},
    BIGINT: {INT, BIGINT, DOUBLE, TEXT},
    HUGEINT: {BIGINT},
    DOUBLE: {DOUBLE},
    TEXT: {TEXT},
    JSON: {TEXT},
    BOOLEAN: {BOOLEAN, TEXT},
    TIME: {TIME},
}

_OF_DOUBLES: dict[type[exp.Expression], str] = {
    exp.Avg: "avg",
    exp.StddevSamp: "stddev_samp",
    exp.StddevPop: "stddev_pop",
    exp.Variance: "var_samp",
    exp.VariancePop: "var_pop",
    exp.CovarSamp: "covar_samp",
    exp.CovarPop: "covar_pop",
}
_OF_BITS: dict[type[exp.Expression], str] = {
    exp.BitwiseAndAgg: "bit_and",
    exp.BitwiseOrAgg: "bit_or",
    exp.BitwiseXorAgg: "bit_xor",
}
_EXTREMES: dict[type[exp.Expression], str] = {exp.Min: "min", exp.Max: "max"}
_CHOSEN: dict[type[exp.Expression], str] = {exp.ArgMax: "max_by", exp.ArgMin: "min_by"}


def aggregate_kind(function: type[exp.Expression], kinds: Sequence[str]) -> tuple[str, str] | None:
    """Spark's name of an aggregate over values of those types, and the type of its own; None if Spark has
    none of that meaning. A sum of integers is one of decimals: DuckDB's has 128 bits."""
    if function is exp.Sum and kinds[0] in (INT, BIGINT):
        return "sum", HUGEINT
    if function is exp.Sum and kinds[0] == DOUBLE:
        return "sum", DOUBLE
    if function in _OF_DOUBLES and set(kinds) == {DOUBLE}:
        return _OF_DOUBLES[function], DOUBLE
    if function in _OF_BITS and kinds[0] == BIGINT:
        return _OF_BITS[function], BIGINT
    if function is exp.LogicalOr and kinds[0] == BOOLEAN:
        return "bool_or", BOOLEAN
    if function in _EXTREMES and is_ordered(kinds[0]):
        return _EXTREMES[function], kinds[0]
    if function in _CHOSEN and is_ordered(kinds[1]):
        return _CHOSEN[function], kinds[0]
    if function is exp.First:
        return "first", kinds[0]
    return None
