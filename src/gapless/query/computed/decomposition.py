"""Series taken apart into what returns, what grows and what remains, and what of that stands out: as the
documentation of Kusto describes it. How Kusto finds a period and counts scores is not published in detail."""

from __future__ import annotations

import math
import operator
from statistics import fmean, median

import msgspec

#: The longest series that is taken apart: a year of hours. Looking for a period takes its square in time.
_POINTS_MAX = 10_000
#: The shortest period that is looked for.
_PERIOD_MIN = 4
#: Percentiles between which the rest of a series is taken to be usual, by the name of the method.
_FENCES = {"ctukey": (10, 90), "tukey": (25, 75)}

_Parts = dict[str, list[float]]


def _series(text: str | None) -> list[float] | None:
    """The numbers of a JSON array; None of what is no array of finite numbers."""
    items = msgspec.json.decode(text) if text else None
    if not isinstance(items, list) or not items:
        return None
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in items):
        return None
    if len(items) > _POINTS_MAX:
        raise ValueError(f"a series of more than {_POINTS_MAX} points is not taken apart: take longer steps")
    return [float(each) for each in items]


def _trend(known: list[float], count: int, kind: str) -> list[float]:
    """The trend of ``known``, carried on to ``count`` points."""
    if kind == "none":
        return [0.0] * count
    average = fmean(known)
    if kind == "avg" or len(known) < 2:
        return [average] * count
    if kind != "linefit":
        raise ValueError(f"there is no trend {kind!r}: write avg, linefit or none")
    middle = (len(known) - 1) / 2
    across = sum((at - middle) ** 2 for at in range(len(known)))
    slope = sum((at - middle) * (each - average) for at, each in enumerate(known)) / across
    return [average + slope * (at - middle) for at in range(count)]


def _period(rest: list[float], threshold: float) -> int:
    """The period whose autocorrelation is the highest peak, and at least ``threshold``; else 0."""
    average = fmean(rest)
    level = [each - average for each in rest]
    power = sum(map(operator.mul, level, level))
    if power <= 1e-12 * len(rest) * max(1.0, average * average):
        return 0
    lags = range(_PERIOD_MIN - 1, len(rest) // 2 + 2)
    # Each lag has fewer pairs of points than the one before.
    scores = {
        lag: sum(map(operator.mul, level, level[lag:])) / power * len(rest) / (len(rest) - lag)
        for lag in lags
        if lag < len(rest)
    }
    peaks = [
        lag
        for lag in range(_PERIOD_MIN, len(rest) // 2 + 1)
        if scores[lag] >= max(scores[lag - 1], scores.get(lag + 1, -math.inf), threshold)
    ]
    # Multiples of a period score as it does: of those that are nearly the best the shortest.
    best = max((scores[lag] for lag in peaks), default=0.0)
    return next((lag for lag in peaks if scores[lag] >= 0.95 * best), 0)


def _taken_apart(series: list[float], period: int, trend: str, test_points: int, threshold: float) -> _Parts:
    known = series[: max(1, len(series) - max(0, test_points))]
    growing = _trend(known, len(series), trend)
    rest = list(map(operator.sub, known, growing))
    period = _period(rest, threshold) if period < 0 else period
    seasonal = [0.0] * len(series)
    if 0 < period <= len(known):
        phases = [median(rest[phase::period]) for phase in range(period)]
        seasonal = [phases[at % period] for at in range(len(series))]
    baseline = list(map(operator.add, growing, seasonal))
    residual = list(map(operator.sub, series, baseline))
    return {"baseline": baseline, "seasonal": seasonal, "trend": growing, "residual": residual}


def _percentile(ordered: list[float], percent: float) -> float:
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _scores(residual: list[float], learned: int, method: str) -> list[float]:
    """How far each value lies beyond the fences, in widths of what lies between them."""
    if method not in _FENCES:
        raise ValueError(f"there is no method {method!r} to find what stands out: write ctukey or tukey")
    ordered = sorted(residual[:learned])
    low, high = (_percentile(ordered, percent) for percent in _FENCES[method])
    # Sums of fractions are not exact: what is between the fences but for that is not beyond them.
    least = 1e-9 * max(1.0, abs(low), abs(high))
    width = max(high - low, least)
    beyond = (each - high if each > high else min(0.0, each - low) for each in residual)
    return [each / width if abs(each) > least else 0.0 for each in beyond]


def _decomposed(
    text: str | None, period: int | None, trend: str | None, test_points: int | None, threshold: float | None
) -> str | None:
    series = _series(text)
    if series is None or period is None or trend is None or test_points is None or threshold is None:
        return None
    return msgspec.json.encode(_taken_apart(series, period, trend, test_points, threshold)).decode()


def _anomalies(
    text: str | None,
    threshold: float | None,
    period: int | None,
    trend: str | None,
    test_points: int | None,
    method: str | None,
    seasonality: float | None,
) -> str | None:
    series = _series(text)
    if series is None or threshold is None or period is None or trend is None or test_points is None:
        return None
    parts = _taken_apart(series, period, trend, test_points, 0.6 if seasonality is None else seasonality)
    scores = _scores(parts["residual"], max(1, len(series) - max(0, test_points)), method or "ctukey")
    flags = [int(each > threshold) - int(each < -threshold) for each in scores]
    found = {"ad_flag": flags, "ad_score": scores, "baseline": parts["baseline"]}
    return msgspec.json.encode(found).decode()


FUNCTIONS = {
    "series_decomposed(text, whole, text, whole, number) text": _decomposed,
    "series_anomalies(text, number, whole, text, whole, text, number) text": _anomalies,
}
