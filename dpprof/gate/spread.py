"""How far two figures differ beyond their spread: steps and runs as samples, Student's t."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.gate.names import Unit
from dpprof.gate.snapshot import Figure, FigureSnapshot, Number
from dpprof.gate.student import quantile, survival

RUN_SPREADS = {"captured": 0.005, "emulated": 0.001, "simulated": 0.0}
"""By source: how much the mean of a run is taken to differ from that of the same run made again.

As a part of the step time; a standard deviation. Steps of one process share its fortunes, so the
spread between steps alone calls too much significant. tests/benchmarks/bench_gate.py measures it
of emulated runs; that of captured ones depends on their machines, and repeats measure it.
"""
_STEP_SPREADS = {"emulated": 0.003, "simulated": 0.0}
"""By how much single steps are taken to differ where one says nothing of it, as above."""

_CONFIDENCE = 0.95
_NORMAL_99 = 2.326
_CORRELATION_FROM = 8
"""So many steps it takes to see whether they follow each other; fewer are taken as independent."""
_MOST_CORRELATED = 0.95
_TRIMMED = 0.2
"""The part of a run's steps that is left out at either end, where there are five or more."""
_DIGITS: dict[Unit, int | None] = {"ns": None, "bytes": None, "share": 6, "rate": 2}


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


@dataclass(frozen=True)
class Sampling:
    """How a side was sampled, and how much its run means vary at least (see `RUN_SPREADS`).

    `step_sd` is taken of what has one sample a run; None: then nothing is known of its spread.
    """

    steps: Sequence[int]  # of each run
    run_sd: float = 0.0
    step_sd: float | None = None

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.steps)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the spread of steps."""
        return sum(steps - 2 * trim(steps) - 1 for steps in self.steps)

    @classmethod
    def of(
        cls, snapshot: FigureSnapshot, unit: Unit, typical: Number, run_spread: float | None = None
    ) -> Sampling:
        """Of a figure with that unit and value; `run_spread` replaces that of `RUN_SPREADS`."""
        source = snapshot.identity.source
        step_ns = snapshot.job["step_ns"].typical
        scale = {"ns": step_ns, "share": 1.0, "rate": typical}.get(unit)
        if scale is None:  # bytes and counts have no noise but that of their steps
            return cls(snapshot.steps, 0.0, 0.0)
        steps = _STEP_SPREADS.get(source)
        return cls(
            snapshot.steps,
            assumed_spread(source, run_spread) * scale,
            None if steps is None else steps * scale,
        )


def assumed_spread(source: str, run_spread: float | None) -> float:
    """By how much runs are taken to vary, as a part of the step time."""
    if run_spread is None or source == "simulated":
        return RUN_SPREADS.get(source, RUN_SPREADS["captured"])
    return run_spread


@dataclass(frozen=True)
class Difference:
    """A figure against its reference: `change` = value - reference.

    `error` is the standard error of the change and `freedom` its degrees of freedom; None where
    one step on a side leaves the spread unknown. `chance` is the probability of a change that
    large in its direction where nothing has changed.
    """

    value: Number
    reference: Number
    error: float | None
    freedom: float = math.inf

    @property
    def change(self) -> float:
        """Value less reference."""
        return self.value - self.reference

    @property
    def relative(self) -> float | None:
        """The change as a part of the reference; None where that is 0."""
        return self.change / abs(self.reference) if self.reference else None

    @property
    def chance(self) -> float | None:
        """One-sided; None where the spread is not known."""
        if self.error is None:
            return None
        if self.error == 0:
            return 0.0 if self.change else 0.5
        return survival(abs(self.change) / self.error, self.freedom)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The change with 95 % confidence."""
        if self.error is None:
            return None
        reach = quantile((1 - _CONFIDENCE) / 2, self.freedom) * self.error if self.error else 0.0
        return self.change - reach, self.change + reach

    def detectable(self, chance: float) -> float | None:
        """The smallest change that would be significant at that chance."""
        if self.error is None:
            return None
        return quantile(chance, self.freedom) * self.error if self.error else 0.0


@dataclass(frozen=True)
class _Part:
    """A part of the variance of a change, with its degrees of freedom."""

    variance: float
    freedom: float


def difference(value: Figure, own: Sampling, reference: Figure, other: Sampling) -> Difference:
    """The difference of two figures: Yuen's t-test over steps, with a part for whole runs.

    The means of runs vary by more than their steps explain: by `Sampling.run_sd`, or by what
    repeated runs show where that is more than chance would make of it.
    """
    error, freedom = _error([(value, own), (reference, other)])
    return Difference(value.typical, reference.typical, error, freedom)


def beside(value: Figure, own: Sampling, reference: Number) -> Difference:
    """The difference of a figure to what has no spread of its own, such as a limit."""
    return Difference(value.typical, reference, *_error([(value, own)]))


def _error(sides: Sequence[tuple[Figure, Sampling]]) -> tuple[float | None, float]:
    """Standard error of the figures' sum or difference, and its degrees of freedom."""
    within = [_within(figure, sampling) for figure, sampling in sides]
    unknown = [
        part is None and figure.run_sd is None
        for part, (figure, _) in zip(within, sides, strict=True)
    ]
    if any(unknown):
        return None, math.inf
    known = [part for part in within if part is not None]
    parts = [*known, _between(sides, within)]
    variance = sum(part.variance for part in parts)
    freedom = sum(
        part.variance**2 / part.freedom for part in parts if part.variance and part.freedom
    )
    return math.sqrt(variance), variance**2 / freedom if freedom else math.inf


def _within(figure: Figure, sampling: Sampling) -> _Part | None:
    if figure.step_sd is None:
        assumed = None if figure.run_sd is not None else sampling.step_sd
        return None if assumed is None else _Part(assumed**2 / sampling.runs, math.inf)
    return _Part(figure.step_sd**2 / sum(sampling.steps), sampling.freedom)


def _between(sides: Sequence[tuple[Figure, Sampling]], within: Sequence[_Part | None]) -> _Part:
    """The part of whole runs: seen where runs were repeated, else taken to be as configured."""
    repeated = [(figure.run_sd, one.runs) for figure, one in sides if figure.run_sd is not None]
    share = sum(1 / one.runs for _, one in sides)
    least = max(one.run_sd for _, one in sides) ** 2
    freedom = sum(runs - 1 for _, runs in repeated)
    if not freedom:
        return _Part(least * share, math.inf)
    seen = sum((runs - 1) * run_sd**2 for run_sd, runs in repeated) / freedom
    by_steps = [
        part.variance * one.runs for part, (_, one) in zip(within, sides, strict=True) if part
    ]
    beyond = seen - sum(by_steps) / max(len(by_steps), 1)
    if beyond <= least * _by_chance(freedom):
        return _Part(least * share, math.inf)
    return _Part(beyond * share, freedom)


def _by_chance(freedom: int) -> float:
    """How far an observed variance may lie above the true one in 99 of 100 cases, as a factor.

    The quantile of chi-square over its degrees of freedom (Wilson and Hilferty 1931).
    """
    part = 2 / (9 * freedom)
    return (1 - part + _NORMAL_99 * math.sqrt(part)) ** 3
