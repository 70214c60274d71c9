"""Functions of probability: of the beta distribution, of errors, and Welch's test. They give None for what
they are not there for: the engine takes NaN for that, too."""

from __future__ import annotations

import math
from typing import Any

_STEPS_MAX = 10_000
_TINY = 1e-300
_PRECISION = 1e-16


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _STEPS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The share of the beta distribution up to x, for x from 0 to 1, and a and b above 0."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log) * _fraction(x, a, b) / a
    return 1 - math.exp(log) * _fraction(1 - x, b, a) / b


def _beta_cdf(x: float | None, alpha: float | None, beta: float | None) -> float | None:
    if x is None or alpha is None or beta is None:
        return None
    return _incomplete_beta(x, alpha, beta) if 0 <= x <= 1 and alpha > 0 and beta > 0 else None


def _beta_pdf(x: float | None, alpha: float | None, beta: float | None) -> float | None:
    if x is None or alpha is None or beta is None:
        return None
    if not (0 < x < 1 and alpha > 0 and beta > 0):
        return _edge(x, alpha, beta) if 0 <= x <= 1 and alpha > 0 and beta > 0 else None
    log = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    return math.exp(log + (alpha - 1) * math.log(x) + (beta - 1) * math.log1p(-x))


def _edge(x: float, alpha: float, beta: float) -> float:
    """The density at 0 or 1."""
    exponent, other = (alpha, beta) if x == 0 else (beta, alpha)
    return 0.0 if exponent > 1 else other if exponent == 1 else math.inf


def _beta_inv(probability: float | None, alpha: float | None, beta: float | None) -> float | None:
    if probability is None or alpha is None or beta is None:
        return None
    if not (0 <= probability <= 1 and alpha > 0 and beta > 0):
        return None
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if _incomplete_beta(middle, alpha, beta) < probability:
            low = middle
        else:
            high = middle
    return high if probability else 0.0


def _welch_test(
    mean1: float | None,
    variance1: float | None,
    count1: float | None,
    mean2: float | None,
    variance2: float | None,
    count2: float | None,
) -> float | None:
    """The probability of means so far apart, or further, if both are of one population."""
    if mean1 is None or variance1 is None or count1 is None or mean2 is None or variance2 is None:
        return None
    if count2 is None:
        return None
    if min(count1, count2) < 2 or min(variance1, variance2) < 0 or variance1 + variance2 == 0:
        return None
    one, other = variance1 / count1, variance2 / count2
    t = (mean1 - mean2) / math.sqrt(one + other)
    freedom = (one + other) ** 2 / (one**2 / (count1 - 1) + other**2 / (count2 - 1))
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _erf(x: float | None) -> float | None:
    return None if x is None else math.erf(x)


def _erfc(x: float | None) -> float | None:
    return None if x is None else math.erfc(x)


FUNCTIONS: dict[str, Any] = {
    "beta_cdf(number, number, number) number": _beta_cdf,
    "beta_pdf(number, number, number) number": _beta_pdf,
    "beta_inv(number, number, number) number": _beta_inv,
    "welch_test(number, number, number, number, number, number) number": _welch_test,
    "erf(number) number": _erf,
    "erfc(number) number": _erfc,
}
