"""The samples of every figure: one per step, of the job and of each rank."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dpprof.analysis.figures import KindFigures, Report, StepFigures, StepRank
from dpprof.gate.names import COMPUTING, IDEAL, KIND_TIMES, MEMORY, SHARES, TIMES, WINDOW
from dpprof.gate.snapshot import Number
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, OVERLAP

_OUTLYING = 0.25
"""Steps that are so far from the median of the run's are those of a machine that stood still."""
_ENOUGH = 4
"""Steps from which it can be told; at most one in so many is left out."""

Samples = dict[str, list[Number]]


@dataclass(frozen=True)
class StepSamples:
    """The steps to take samples from, and a word on each that was left out."""

    used: tuple[StepFigures, ...]
    left_out: tuple[str, ...]


def steady_steps(report: Report) -> StepSamples:
    """A run's steps but for outliers: single steps of a quite different length.

    They are a machine that stood still, or a profiler that lost its place; ``slowest_step_ns``
    and the warnings still know them. Where many steps differ, they are what the run is like.
    """
    steps = tuple(report.per_step)
    middle = statistics.median(step.window_ns for step in steps)
    odd = [step for step in steps if abs(step.window_ns - middle) > _OUTLYING * middle]
    if not odd or len(odd) > len(steps) // _ENOUGH:
        return StepSamples(steps, ())
    words = [
        f"step {step.step} left out: {step.window_ns / 1e6:.1f} ms, where the median of the steps "
        f"is {middle / 1e6:.1f} ms"
        for step in odd
    ]
    return StepSamples(tuple(step for step in steps if step not in odd), tuple(words))


def rank_samples(report: Report, steps: StepSamples) -> list[Samples]:
    """Per rank, in the report's order: figure -> one value per step; unknown figures left out."""
    ideal = {} if report.ideal is None else {one.rank: one for one in report.ideal.ranks}
    found = []
    for position, rank in enumerate(report.ranks):
        times = [rank_times(step.ranks[position]) for step in steps.used]
        samples = _with_shares(_columns(times))
        for name in MEMORY:
            value = getattr(rank.memory, name)
            if value is not None:
                samples[name] = [value]
        peaks = [step.ranks[position].peak_allocated_bytes for step in steps.used]
        if None not in peaks:
            samples[MEMORY[0]] = [peak for peak in peaks if peak is not None]
        if report.ideal is not None:
            samples[f"{IDEAL}bubble_ns"] = [ideal[rank.rank].bubble_ns / report.ideal.steps]
        found.append(samples)
    return found


def job_samples(report: Report, steps: StepSamples) -> Samples:
    """Figure of the job -> one value per step: means over the ranks, shares of their sums."""
    ranks = len(report.ranks)
    times = [_means([rank_times(rank) for rank in step.ranks], ranks) for step in steps.used]
    samples = _with_shares(_columns(times))
    windows = [step.window_ns for step in steps.used]
    samples["step_ns"] = list(windows)
    for name in ("tokens_per_second", "model_flops_per_second"):
        rate = getattr(report, name)
        if rate is not None and report.step_ns:
            samples[name] = [rate * report.step_ns / window for window in windows]
    return samples


def rank_times(rank: StepRank) -> dict[str, int]:
    """Every time of a rank in a step, zero where its kind does not occur; unknown ones left out."""
    times = {WINDOW: rank.window_ns}
    times |= {f"{state}_ns": time for state, time in rank.states_ns.items()}
    times[COMPUTING] = rank.states_ns[COMPUTE] + rank.states_ns[OVERLAP]
    known = {name: getattr(rank, name) for name in TIMES if name != COMPUTING}
    for kind in COMMUNICATION_KINDS:
        known |= _kind_times(kind, rank.by_kind.get(kind))
    return times | {name: time for name, time in known.items() if time is not None}


def _kind_times(kind: str, figures: KindFigures | None) -> dict[str, int | None]:
    if figures is None:
        return {f"{kind}.{name}": 0 for name in KIND_TIMES}
    return {f"{kind}.{name}": getattr(figures, name) for name in KIND_TIMES}


def _means(ranks: Sequence[dict[str, int]], count: int) -> dict[str, float]:
    """Means over the ranks of what all of them know."""
    common = set.intersection(*(set(rank) for rank in ranks)) if ranks else set()
    return {name: sum(rank[name] for rank in ranks) / count for name in _in_order(ranks[0], common)}


def _in_order(names: dict[str, int], chosen: set[str]) -> Iterator[str]:
    return (name for name in names if name in chosen)


def _columns(steps: Sequence[dict[str, Number]] | Sequence[dict[str, int]]) -> Samples:
    common = set.intersection(*(set(step) for step in steps))
    return {name: [step[name] for step in steps] for name in steps[0] if name in common}


def _with_shares(samples: Samples) -> Samples:
    """The shares of every step beside its times, where there is a whole in every step."""
    shares = {}
    for share, (part, whole) in SHARES.items():
        if part in samples and all(samples[whole]):
            shares[share] = [
                one / all_ for one, all_ in zip(samples[part], samples[whole], strict=True)
            ]
    return samples | shares
