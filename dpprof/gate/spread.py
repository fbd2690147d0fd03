"""How far two figures differ beyond their spread: steps and runs as samples, Student's t."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.gate.names import Unit
from dpprof.gate.snapshot import Figure, Number, Snapshot
from dpprof.gate.student import quantile, survival

RUN_SPREAD = 0.0005
"""By how much the mean of a run is taken to differ from that of the same run made again.

As a part of the step time; a standard deviation. Steps of one process share its fortunes, so the
spread between steps alone calls too much significant. tests/benchmarks/bench_gate.py measures it.
"""

_CONFIDENCE = 0.95


_DIGITS: dict[Unit, int | None] = {"ns": None, "bytes": None, "share": 6, "rate": 2}


def figure_of(runs: Sequence[Sequence[Number]], unit: Unit) -> Figure:
    """The mean of all samples; standard deviations within runs, and of runs where there are some.

    What has one sample a run is a figure without a spread of steps. Times and bytes are rounded
    to whole ones, shares to a millionth.
    """
    samples = [value for run in runs for value in run]
    means = [statistics.fmean(run) for run in runs]
    freedom = len(samples) - len(runs)
    squares = sum(
        (value - mean) ** 2 for run, mean in zip(runs, means, strict=True) for value in run
    )
    digits = _DIGITS.get(unit)
    return Figure(
        round(statistics.fmean(samples), digits),
        round(math.sqrt(squares / freedom), digits) if freedom else None,
        round(statistics.stdev(means), digits) if len(means) > 1 else None,
    )


@dataclass(frozen=True)
class Sampling:
    """How a side was sampled, and how much its run means vary at least (see `RUN_SPREAD`)."""

    steps: int
    runs: int
    run_sd: float

    @classmethod
    def of(cls, snapshot: Snapshot, unit: Unit, mean: Number) -> Sampling:
        """Of a figure with that unit and mean."""
        noisy = snapshot.identity.source != "simulated"
        scale = {"ns": snapshot.job["step_ns"].mean, "share": 1.0, "rate": mean}.get(unit, 0.0)
        return cls(sum(snapshot.steps), len(snapshot.steps), RUN_SPREAD * scale if noisy else 0.0)


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
    """The difference of two figures: Welch's t-test over steps, with a part for whole runs.

    The means of runs vary by more than their steps explain: by as much as repeated runs on both
    sides show, at least by `Sampling.run_sd`.
    """
    sides = ((value, own), (reference, other))
    within = [_within(figure, sampling) for figure, sampling in sides]
    unknown = [
        part is None and figure.run_sd is None
        for part, (figure, _) in zip(within, sides, strict=True)
    ]
    if any(unknown):
        exact = own.run_sd == other.run_sd == 0
        return Difference(value.mean, reference.mean, 0.0 if exact else None)
    known = [part for part in within if part is not None]
    parts = [*known, _between(sides, within)]
    variance = sum(part.variance for part in parts)
    freedom = sum(
        part.variance**2 / part.freedom for part in parts if part.variance and part.freedom
    )
    return Difference(
        value.mean,
        reference.mean,
        math.sqrt(variance),
        variance**2 / freedom if freedom else math.inf,
    )


def _within(figure: Figure, sampling: Sampling) -> _Part | None:
    if figure.step_sd is None:
        return None
    return _Part(figure.step_sd**2 / sampling.steps, sampling.steps - sampling.runs)


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
    if beyond <= least:
        return _Part(least * share, math.inf)
    return _Part(beyond * share, freedom)
