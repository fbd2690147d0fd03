"""Student's t distribution, which NumPy does not have."""

from __future__ import annotations

import math

_LIKE_NORMAL = 10_000
"""Degrees of freedom from which the normal distribution is as good."""
_TINY = 1e-300
_MOST_TERMS = 500


def survival(t: float, df: float) -> float:
    """P(T > t) with `df` degrees of freedom; ``math.inf`` of them is the normal distribution."""
    if df > _LIKE_NORMAL:
        return 0.5 * math.erfc(t / math.sqrt(2))
    tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t >= 0 else 1 - tail


def quantile(tail: float, df: float) -> float:
    """The t that is exceeded with probability `tail` (0 < tail <= 0.5), by safeguarded Newton."""
    low, high = 0.0, 1.0
    while survival(high, df) > tail:
        low, high = high, 2 * high
    middle = (low + high) / 2
    for _ in range(_MOST_TERMS):
        found = max(survival(middle, df), _TINY)
        low, high = (middle, high) if found > tail else (low, middle)
        # On the logarithm, which is nearly straight where the tail is thin.
        following = middle + _newton(found, tail, _density(middle, df))
        if abs(following - middle) <= 1e-12 * high:
            return following
        middle = following if low < following < high else (low + high) / 2
    return middle


def _newton(found: float, tail: float, density: float) -> float:
    """The step; none where the tail or its density is too thin for numbers."""
    return found * math.log(found / tail) / density if found > 0 and density > 0 else math.inf


def _density(t: float, df: float) -> float:
    if df > _LIKE_NORMAL:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return math.exp(constant - (df + 1) / 2 * math.log1p(t * t / df))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, 0 <= x <= 1 (DLMF 8.17.22, continued fraction)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = a * math.log(x) + b * math.log1p(-x)
    front -= math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(front) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """``1 + d1/(1 + d2/(1 + ...))`` by Lentz' method."""
    value = c = 1.0
    d = 0.0
    for term in range(1, _MOST_TERMS):
        m = term // 2
        if term % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + step * d or _TINY)
        c = 1 + step / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value
