"""How far two figures differ beyond their spread: steps and runs as samples, Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.statistics.figure import Figure, Number, Unit, trim
from dpprof.statistics.student import quantile, survival

RUN_SPREADS = {"captured": 0.005, "emulated": 0.001, "simulated": 0.0}
"""By source: how much the mean of a run is taken to differ from that of the same run made again.

As a part of the step time; a standard deviation. Steps of one process share its fortunes, so the
spread between steps alone calls too much significant. tests/benchmarks/bench_gate.py measures it
of emulated runs; that of captured ones depends on their machines, and repeats measure it.
"""
_STEP_SPREADS = {"emulated": 0.003, "simulated": 0.0}
"""By how much single steps are taken to differ where one says nothing of it, as above."""

FALSE_ALARMS = 0.01
"""The chance from which a change is significant; a gate holds that of all its rules to it."""
_CONFIDENCE = 0.95
_NORMAL_99 = 2.326


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
        cls,
        source: str,
        steps: Sequence[int],
        scale: Number | None,
        run_spread: float | None = None,
    ) -> Sampling:
        """Of runs with so many steps each, from `source`.

        `scale` is what the spreads are parts of (see `scale_of`); `run_spread` replaces that of
        `RUN_SPREADS`.
        """
        if scale is None:
            return cls(steps, 0.0, 0.0)
        of_steps = _STEP_SPREADS.get(source)
        return cls(
            steps,
            assumed_spread(source, run_spread) * scale,
            None if of_steps is None else of_steps * scale,
        )


def scale_of(unit: Unit, typical: Number, step_ns: Number) -> Number | None:
    """What assumed spreads of a figure are parts of; None: it has no noise but that of its steps.

    `typical` is its value, `step_ns` the step time.
    """
    return {"ns": step_ns, "share": 1.0, "rate": typical}.get(unit)


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
    def significant(self) -> bool:
        """Whether so large a change is no chance, looked at alone."""
        return self.chance is not None and self.chance <= FALSE_ALARMS

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
