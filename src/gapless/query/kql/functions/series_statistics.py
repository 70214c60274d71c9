"""Functions of whole series: sums and products, statistics, lines, filters."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.binding.several import Several
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, LONG, REAL, Constant, Scalar, Type
from gapless.query.kql.values.json_sql import is_array, let, numbers, numbers_text

FAMILY = Family("Series as a whole")


def _all_known(listed: str) -> str:
    """SQL: whether there are items, and each is a finite number."""
    return f"len({listed}) > 0 AND len(list_filter({listed}, lambda x: x IS NULL OR NOT isfinite(x))) = 0"


def _of_all(name: str, sql: str, summary: str) -> None:
    """A function of all items of the series s; null where one is no finite number."""

    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        found = let("s", numbers("$1"), f"CASE WHEN {_all_known('s')} THEN {sql} END")
        return apply(f"CASE WHEN {is_array('$1')} THEN {found} END", arguments, REAL)

    FAMILY.function(f"{name}(series: dynamic): real", summary)(build)


_of_all("series_sum", "list_sum(s)", "The sum of the items.")
_of_all("series_product", "list_product(s)", "The product of the items.")
_of_all(
    "series_magnitude",
    "sqrt(list_sum(list_transform(s, lambda x: x * x)))",
    "The length of a vector: the root of the sum of squares.",
)

_DOT = "list_sum(list_transform(p.a, lambda x, i: x * p.b[i]))"


def _of_two(name: str, sql: str, summary: str) -> None:
    """A function of two series p.a and p.b of one length; null where an item is no finite number."""

    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        known = f"len(p.a) = len(p.b) AND {_all_known('p.a')} AND {_all_known('p.b')}"
        pair = f"{{'a': {numbers('$1')}, 'b': {numbers('$2')}}}"
        found = let("p", pair, f"CASE WHEN {known} THEN {sql} END")
        return apply(f"CASE WHEN {is_array('$1')} AND {is_array('$2')} THEN {found} END", arguments, REAL)

    FAMILY.function(f"{name}(a: dynamic, b: dynamic): real", summary)(build)


def _squares(name: str) -> str:
    return f"list_sum(list_transform(p.{name}, lambda x: x * x))"


def _moment(one: str, other: str) -> str:
    """SQL: how two series vary together."""
    first, second = f"(x - list_avg(p.{one}))", f"(p.{other}[i] - list_avg(p.{other}))"
    return f"list_sum(list_transform(p.{one}, lambda x, i: {first} * {second}))"


_of_two("series_dot_product", _DOT, "The sum of the products, item by item.")
_of_two(
    "series_cosine_similarity",
    f"{_DOT} / nullif(sqrt({_squares('a')}) * sqrt({_squares('b')}), 0)",
    "How alike the directions of two vectors are, from -1 to 1.",
)
_of_two(
    "series_pearson_correlation",
    f"{_moment('a', 'b')} / nullif(sqrt({_moment('a', 'a')}) * sqrt({_moment('b', 'b')}), 0)",
    "How two series vary together, from -1 to 1.",
)

# Statistics -------------------------------------------------------------------------------------------------

_STATS: dict[str, tuple[str, Type]] = {
    "min": ("list_min(s)", REAL),
    "min_idx": ("list_position(s, list_min(s)) - 1", LONG),
    "max": ("list_max(s)", REAL),
    "max_idx": ("list_position(s, list_max(s)) - 1", LONG),
    "avg": ("list_avg(s)", REAL),
    "stdev": ("coalesce(list_stddev_samp(s), 0)", REAL),
    "variance": ("coalesce(list_var_samp(s), 0)", REAL),
    "sum": ("list_sum(s)", REAL),
    "len": ("len(s)", LONG),
}


def _stats(call: Call, arguments: Sequence[Scalar]) -> list[tuple[str, Scalar]]:
    found: list[tuple[str, Scalar]] = []
    finite = len(arguments) > 1 and call.constant(arguments[1], "whether to ignore what is not finite").value
    listed = f"list_filter({numbers('$1')}, lambda x: isfinite(x))" if finite else numbers("$1")
    for name, (sql, kind) in _STATS.items():
        engine = "DOUBLE" if kind is REAL else "BIGINT"
        value = let("s", listed, f"CASE WHEN {_all_known('s')} THEN CAST({sql} AS {engine}) END")
        found.append((name, apply(f"CASE WHEN {is_array('$1')} THEN {value} END", arguments[:1], kind)))
    return found


@FAMILY.function(
    "series_stats(series: dynamic, ignore_nonfinite?: bool): several",
    "The least item and its position, the greatest and its position, average, standard deviation, variance.",
)
def _series_stats(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return Several(_stats(call, arguments)[:7])


@FAMILY.function(
    "series_stats_dynamic(series: dynamic, ignore_nonfinite?: bool): dynamic",
    "As series_stats(), and the sum and the number of items, as a bag.",
)
def _series_stats_dynamic(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _bag(_stats(call, arguments), arguments[0])


def _bag(values: Sequence[tuple[str, Scalar]], series: Scalar) -> Scalar:
    """A bag of values; null where the series is no array."""
    members = ", ".join(f"'{name}', ${place}" for place, (name, _) in enumerate(values, start=2))
    sql = f"CASE WHEN {is_array('$1')} THEN CAST(json_object({members}) AS VARCHAR) END"
    shown = [apply("CAST($1 AS JSON)", (v,), DYNAMIC) if v.type == DYNAMIC else v for _, v in values]
    return apply(sql, (series, *shown), DYNAMIC)


# Lines ------------------------------------------------------------------------------------------------------

#: Sums over a series s, whose items stand at x = 0, 1, 2, ...: its length, averages of x and y, moments.
_FIT = let(
    "m",
    "{'n': len(s), 'x': (len(s) - 1) / 2.0, 'y': list_avg(s)}",
    "{'n': m.n, 'x': m.x, 'y': m.y,"
    " 'xx': list_sum(list_transform(s, lambda y, i: (i - 1 - m.x) * (i - 1 - m.x))),"
    " 'xy': list_sum(list_transform(s, lambda y, i: (i - 1 - m.x) * (y - m.y))),"
    " 'yy': list_sum(list_transform(s, lambda y, i: (y - m.y) * (y - m.y)))}",
)
_SLOPE = "coalesce(f.xy / nullif(f.xx, 0), 0)"
_START = f"(f.y - {_SLOPE} * f.x)"
_REST = f"greatest(f.yy - {_SLOPE} * f.xy, 0)"
_LINE: dict[str, str] = {
    "rsquare": f"coalesce(1 - {_REST} / nullif(f.yy, 0), 1)",
    "slope": _SLOPE,
    "variance": "coalesce(f.yy / nullif(f.n - 1, 0), 0)",
    "rvariance": f"coalesce({_REST} / nullif(f.n - 1, 0), 0)",
    # Kusto counts the places of the line from 1.
    "interception": f"({_START} - {_SLOPE})",
}


def _line(arguments: Sequence[Scalar]) -> list[tuple[str, Scalar]]:
    found: list[tuple[str, Scalar]] = []
    for name, sql in _LINE.items():
        found.append((name, _fitted(f"CAST({sql} AS DOUBLE)", arguments, REAL)))
    points = f"list_transform(s, lambda y, i: {_START} + {_SLOPE} * (i - 1))"
    return [*found, ("line_fit", _fitted(numbers_text(points), arguments, DYNAMIC))]


def _fitted(sql: str, arguments: Sequence[Scalar], kind: Type) -> Scalar:
    value = let("s", numbers("$1"), f"CASE WHEN {_all_known('s')} THEN {let('f', _FIT, sql)} END")
    return apply(f"CASE WHEN {is_array('$1')} THEN {value} END", arguments, kind)


@FAMILY.function(
    "series_fit_line(series: dynamic): several",
    "The line of least squares through a series: how well it fits, slope, variances, value at 0, points.",
)
def _series_fit_line(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return Several(_line(arguments))


@FAMILY.function("series_fit_line_dynamic(series: dynamic): dynamic", "As series_fit_line(), as a bag.")
def _series_fit_line_dynamic(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _bag(_line(arguments), arguments[0])


# Filters ----------------------------------------------------------------------------------------------------


def _coefficients(call: Call, argument: Scalar) -> list[float]:
    value = call.constant(argument, "a filter").value
    if not isinstance(value, list) or not value or not all(isinstance(each, int | float) for each in value):
        raise call.error("needs an array of numbers as a filter")
    return [float(each) for each in value]


def _weighted(weights: Sequence[float], sums: str) -> str:
    """SQL: the weighted sum of an item and those before it; ``sums`` gives the item so many places back."""
    terms = [
        f"CAST({weight!r} AS DOUBLE) * coalesce({sums.format(back=back)}, 0)"
        for back, weight in enumerate(weights)
    ]
    return " + ".join(terms)


@FAMILY.function(
    "series_fir(series: dynamic, filter: dynamic, normalize?: bool, center?: bool): dynamic",
    "A finite impulse response: each item is a weighted sum of itself and those before (or around) it.",
)
def _series_fir(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    weights = _coefficients(call, arguments[1])
    negative = min(weights) < 0
    flags = [call.constant(each, "an option").value for each in arguments[2:]]
    normalize = flags[0] if flags else not negative
    if normalize and negative:
        return Constant(None, DYNAMIC)
    total = sum(weights)
    if normalize and total == 0:
        return Constant(None, DYNAMIC)
    divided = f" / CAST({total!r} AS DOUBLE)" if normalize else ""
    shift = len(weights) // 2 if len(flags) > 1 and flags[1] else 0
    item = f"CASE WHEN i + {shift} - {{back}} > 0 THEN s[i + {shift} - {{back}}] END"
    made = f"list_transform(s, lambda x, i: ({_weighted(weights, item)}){divided})"
    filtered = let("s", numbers("$1"), numbers_text(made))
    return apply(f"CASE WHEN {is_array('$1')} THEN {filtered} END", arguments[:1], DYNAMIC)


@FAMILY.function(
    "series_iir(series: dynamic, numerators: dynamic, denominators: dynamic): dynamic",
    "An infinite impulse response: each item is a weighted sum of items, and of results before it.",
)
def _series_iir(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    numerators, denominators = (_coefficients(call, each) for each in arguments[1:])
    if denominators[0] == 0:
        raise call.error("needs a first denominator that is not 0")
    above = _weighted(numerators, "CASE WHEN i - {back} > 0 THEN s[i - {back}] END")
    below = _weighted(denominators[1:], "CASE WHEN i - {back} > 1 THEN made[i - {back} - 1] END")
    value = f"({above} - ({below or '0'})) / CAST({denominators[0]!r} AS DOUBLE)"
    made = (
        f"list_reduce(range(1, len(s) + 1), lambda made, i: list_append(made, {value}), CAST([] AS DOUBLE[]))"
    )
    filtered = let("s", numbers("$1"), numbers_text(made))
    return apply(f"CASE WHEN {is_array('$1')} THEN {filtered} END", arguments[:1], DYNAMIC)
