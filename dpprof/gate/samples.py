"""The samples of every figure: one per step, of the job and of each rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpprof.analysis.figures import StepRank, TimeFigures
from dpprof.analysis.metrics import IDEAL, METRICS
from dpprof.analysis.model import Report
from dpprof.gate.names import MEMORY
from dpprof.statistics.figure import Number

Samples = dict[str, list[Number]]


def rank_samples(report: Report) -> list[Samples]:
    """Per rank, in the report's order: figure -> one value per step; unknown figures left out."""
    ideal = {} if report.ideal is None else {one.rank: one for one in report.ideal.ranks}
    found = []
    for position, rank in enumerate(report.ranks):
        times = [rank_times(step.ranks[position], rank) for step in report.per_step]
        samples = _claimed(_with_shares(_columns(times)), rank)
        for name in MEMORY:
            value = getattr(rank.memory, name)
            if value is not None:
                samples[name] = [value]
        peaks = [step.ranks[position].peak_allocated_bytes for step in report.per_step]
        if None not in peaks:
            samples[MEMORY[0]] = [peak for peak in peaks if peak is not None]
        if report.ideal is not None:
            samples[f"{IDEAL}bubble_ns"] = [ideal[rank.rank].bubble_ns / report.ideal.steps]
        found.append(samples)
    return found


def job_samples(report: Report) -> Samples:
    """Figure of the job -> one value per step: means over the ranks, shares of their sums."""
    ranks = len(report.ranks)
    every = [[rank_times(rank, report.total) for rank in step.ranks] for step in report.per_step]
    times = [_means(step, ranks) for step in every]
    samples = _claimed(_with_shares(_columns(times)), report.total)
    windows = [step.window_ns for step in report.per_step]
    samples["step_ns"] = list(windows)
    for name, metric in METRICS.items():
        rate = metric.of(report) if metric.by_step and metric.unit == "rate" else None
        if rate is not None and report.step_ns:
            samples[name] = [rate * report.step_ns / window for window in windows]
    return samples


def unclaimed(figures: TimeFigures) -> dict[str, str]:
    """Hidden shares that the report does not claim, with its reasons."""
    reasons = {"hidden_share": figures.hidden_reason} | {
        f"{kind}.hidden_share": own.hidden_reason for kind, own in figures.by_kind.items()
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _claimed(samples: Samples, figures: TimeFigures) -> Samples:
    left_out = unclaimed(figures)
    return {name: values for name, values in samples.items() if name not in left_out}


def rank_times(rank: StepRank, whole: TimeFigures) -> dict[str, int]:
    """Every time of a rank in a step, zero where its kind does not occur; unknown ones left out.

    Waiting and blocking that are known of some steps or ranks of the `whole` are those of these:
    elsewhere they add nothing to what is known.
    """
    known = {name: metric.time(rank) for name, metric in METRICS.items() if metric.time is not None}
    parts = [("", whole), *((f"{kind}.", one) for kind, one in whole.by_kind.items())]
    names = ("wait_ns", "blocking_ns")
    partly = {
        f"{kind}{name}" for kind, one in parts for name in names if getattr(one, name) is not None
    }
    known = {name: 0 if time is None and name in partly else time for name, time in known.items()}
    return {name: time for name, time in known.items() if time is not None}


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
    for share, metric in METRICS.items():
        if metric.ratio is None:
            continue
        part, whole = metric.ratio
        if part in samples and all(samples[whole]):
            shares[share] = [
                one / all_ for one, all_ in zip(samples[part], samples[whole], strict=True)
            ]
    return samples | shares
