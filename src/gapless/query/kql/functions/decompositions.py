"""Functions that take series apart, which Python computes (see ``gapless.query.computed.decomposition``)."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.binding.several import Several
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, LONG, REAL, STRING, Constant, Scalar
from gapless.query.kql.values.to_text import Path

FAMILY = Family("Series taken apart")

_PERIOD = Constant(-1, LONG)
_TREND = Constant("avg", STRING)
_TEST_POINTS = Constant(0, LONG)
_SCORE = Constant(0.6, REAL)
_ANOMALY = Constant(1.5, REAL)
_METHOD = Constant("ctukey", STRING)


def _parts(
    name: str, arguments: Sequence[Scalar], defaults: Sequence[Constant], parts: Sequence[str]
) -> Scalar:
    given = [*arguments, *defaults[len(arguments) - 1 :]]
    places = ", ".join(f"${place}" for place in range(1, len(given) + 1))
    made = apply(f"{name}({places})", given, DYNAMIC)
    return Several([(part, Path(made, (part,))) for part in parts])


@FAMILY.function(
    "series_decompose(series: dynamic, seasonality?: long, trend?: string, test_points?: long,"
    " seasonality_threshold?: real): several",
    "What a series is made of: baseline, seasonal, trend, residual.",
)
def _series_decompose(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    defaults = (_PERIOD, _TREND, _TEST_POINTS, _SCORE)
    return _parts("series_decomposed", arguments, defaults, ("baseline", "seasonal", "trend", "residual"))


@FAMILY.function(
    "series_decompose_anomalies(series: dynamic, threshold?: real, seasonality?: long, trend?: string,"
    " test_points?: long, method?: string, seasonality_threshold?: real): several",
    "What stands out of a series: flags (1, -1 or 0), scores, and the baseline.",
)
def _series_decompose_anomalies(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    defaults = (_ANOMALY, _PERIOD, _TREND, _TEST_POINTS, _METHOD, _SCORE)
    return _parts("series_anomalies", arguments, defaults, ("ad_flag", "ad_score", "baseline"))
