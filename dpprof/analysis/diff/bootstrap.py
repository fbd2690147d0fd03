"""Whether a change is more than the steps' own spread: bootstrap intervals over steps.

Steps are the samples of each side. A resample draws each side's steps anew, with replacement; the
interval is that of the middle 95 % of the resampled changes. A few steps resample to too narrow an
interval, for two reasons that are both made up for (Hesterberg, "What Teachers Should Know About
the Bootstrap", 2015): deviations are drawn n/(n-1) too small in square, and the spread is itself
estimated, so the interval is widened by Student's t over the normal quantile, with Welch's degrees
of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from dpprof.analysis.diff.model import Effect

CONFIDENCE = 0.95
_RESAMPLES = 4000
_SEED = 20240

Samples = npt.NDArray[np.float64]


def effects(
    base: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]]
) -> dict[str, Effect]:
    """The change of the mean of each figure; each side gives a figure per step, two or more.

    All figures are resampled with the same draws of steps. The draws are always the same ones and
    both sides take turns in them, so that exchanging the sides only changes the sign.
    """
    first, second = (np.array([*side.values()], dtype=np.float64) for side in (base, new))
    drawn = [_resampled(second, 1) - _resampled(first, 0)]
    drawn += [_resampled(second, 0) - _resampled(first, 1)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(drawn, axis=1), [tail, 1 - tail], axis=1)
    change = second.mean(axis=1) - first.mean(axis=1)
    widening = [_widening(*pair) for pair in zip(first, second, strict=True)]
    spans = zip(change, low * widening, high * widening, strict=True)
    return {name: _effect(*map(float, span)) for name, span in zip(base, spans, strict=True)}


def _effect(change: float, low: float, high: float) -> Effect:
    return Effect(
        change_ns=change,
        low_ns=change + low,
        high_ns=change + high,
        significant=change + low > 0 or change + high < 0,
    )


def _resampled(samples: Samples, stream: int) -> Samples:
    """Deviations of the mean of resamples from the mean, shape (figures, resamples)."""
    steps = samples.shape[1]
    draws = np.random.default_rng([_SEED, stream]).integers(steps, size=(_RESAMPLES, steps))
    deviations = (samples - samples.mean(axis=1, keepdims=True)) * math.sqrt(steps / (steps - 1))
    means: Samples = np.stack([one[draws].mean(axis=1) for one in deviations])
    return means


def _widening(base: Samples, new: Samples) -> float:
    """Student's quantile over the normal one, with Welch's degrees of freedom, rounded down."""
    errors = [float(np.var(side, ddof=1)) / len(side) for side in (base, new)]
    total = sum(errors)
    if not total:
        return 1.0
    inverse = sum(
        (error / total) ** 2 / (len(side) - 1)
        for error, side in zip(errors, (base, new), strict=True)
    )
    freedom = max(1, math.floor(1 / inverse + 1e-9))
    return student_quantile(freedom) / NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@lru_cache(maxsize=256)
def student_quantile(freedom: int) -> float:
    """The value that Student's t exceeds in size with probability ``1 - CONFIDENCE``."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        inside = _within(middle, freedom) < CONFIDENCE
        low, high = (middle, high) if inside else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Probability that ``|t| < tan(angle) * sqrt(freedom)`` (Abramowitz and Stegun 26.7.3-4)."""
    cosine, term, total = math.cos(angle) ** 2, 1.0, 0.0
    odd = freedom % 2
    for number in range(freedom // 2):
        total += term
        term *= cosine * (2 * number + 1 + odd) / (2 * number + 2 + odd)
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
