"""A figure measured in several steps and runs: its mean, and how far it spreads."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

Unit = Literal["ns", "share", "bytes", "rate", "count", "text"]
Number = int | float

_CORRELATION_FROM = 8
"""So many steps it takes to see whether they follow each other; fewer are taken as independent."""
_MOST_CORRELATED = 0.95
_TRIMMED = 0.2
"""The part of a run's steps that is left out at either end, where there are five or more."""
_DIGITS: dict[Unit, int | None] = {"ns": None, "bytes": None, "share": 6, "rate": 2}


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mean over steps (and runs) with its spread; no spread: there is one value only.

    `middle` is the mean without the lowest and the highest fifth of each run's steps, None where
    that is the mean; it is what comparisons take, and the spreads are of it: ``step_sd**2 / steps``
    is the square of its standard error, and `run_sd` the standard deviation between runs.
    """

    mean: Number
    middle: Number | None = None
    step_sd: Number | None = None
    run_sd: Number | None = None

    @property
    def typical(self) -> Number:
        """What comparisons take: hiccups of single steps are not in it."""
        return self.mean if self.middle is None else self.middle


def figure_of(runs: Sequence[Sequence[Number]], unit: Unit) -> Figure:
    """The mean of all samples, and the trimmed mean with its spread over steps and runs.

    Machines that others use too give steps that are off by far, whatever the code; trimmed means
    and winsorised variances (Yuen 1974) bear them. What has one sample a run has no spread of
    steps. Steps that follow each other count as fewer (see `_shared`). Times and bytes are rounded
    to whole ones, shares to a millionth.
    """
    digits = _DIGITS.get(unit)
    mean = round(statistics.fmean([value for run in runs for value in run]), digits)
    trimmed = [_trimmed(run) for run in runs]
    middle = round(statistics.fmean([one for one, _ in trimmed]), digits)
    squares = [square for _, square in trimmed if square is not None]
    samples = sum(map(len, runs))
    known = len(squares) == len(runs)
    return Figure(
        mean,
        middle if middle != mean else None,
        round(math.sqrt(samples * sum(squares)) / len(runs), digits) if known else None,
        round(_deviation([one for one, _ in trimmed]), digits) if len(runs) > 1 else None,
    )


def _trimmed(run: Sequence[Number]) -> tuple[float, float | None]:
    """The trimmed mean of a run and the square of its standard error."""
    ordered, cut = sorted(run), trim(len(run))
    kept = ordered[cut : len(run) - cut]
    if len(run) < 2:
        return kept[0], None
    winsorised = [kept[0]] * cut + kept + [kept[-1]] * cut
    square = _squares(winsorised) / (len(kept) * (len(kept) - 1))
    return statistics.fmean(kept), square * _shared(run)


def _shared(run: Sequence[Number]) -> float:
    """By how much the variance of a mean is larger than that of independent steps.

    As of a first-order autoregressive series with the lag-1 correlation of the steps, which a short
    series shows too small (Marriott and Pope 1954), as it does its variance; where there surely is
    one, it is taken to be a standard error larger, as too small a one gives false alarms.
    """
    steps, squares = len(run), _squares(run)
    if steps < _CORRELATION_FROM or not squares:
        return 1.0
    mean = statistics.fmean(run)
    seen = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(run)) / squares
    error = 1 / math.sqrt(steps)
    likely = (steps * seen + 1) / (steps - 3) + (error if seen > 2 * error else 0.0)
    correlation = min(max(likely, 0.0), _MOST_CORRELATED)
    weights = ((1 - lag / steps) * correlation**lag for lag in range(1, steps))
    of_mean = (1 + 2 * sum(weights)) / steps  # its variance, as a part of a step's
    return of_mean / (1 - of_mean) * (steps - 1)


def _deviation(values: Sequence[float]) -> float:
    return math.sqrt(_squares(values) / (len(values) - 1))


def _squares(values: Sequence[Number]) -> float:
    """Sum of the squared distances from the mean; `statistics` has it exact, and slow."""
    mean = statistics.fmean(values)
    return sum((value - mean) ** 2 for value in values)


def trim(steps: int) -> int:
    """How many of so many steps are left out at either end."""
    return int(_TRIMMED * steps)
