"""Several reports side by side, each figure also as a ratio to a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dpprof.analysis.model import REPORT_SCHEMA_VERSION, Report
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS

Unit = Literal["time", "share", "bytes", "rate"]


@dataclass(frozen=True)
class Comparison:
    """Reports in the order of the columns; `baseline` is the position of the one compared with."""

    reports: tuple[Report, ...]
    baseline: int
    metrics: tuple[ComparedMetric, ...]

    def json_form(self) -> dict[str, object]:
        """What ``analyze --format json`` writes for several runs."""
        return {"schema_version": REPORT_SCHEMA_VERSION, "runs": list(self.reports)}


@dataclass(frozen=True)
class ComparedMetric:
    """One line of a comparison: a value per report, None where it is not known.

    Times are nanoseconds per step, and where they are of ranks, the mean over the ranks.
    """

    section: str
    name: str
    unit: Unit
    values: tuple[float | None, ...]

    def ratios(self, baseline: int) -> tuple[float | None, ...]:
        """Each value over the baseline's; None where that is unknown or 0."""
        base = self.values[baseline]
        return tuple(None if value is None or not base else value / base for value in self.values)


def compare(reports: Sequence[Report], baseline: int = -1) -> Comparison:
    """Compare reports with one of them (default: the last)."""
    metrics = tuple(
        ComparedMetric(section, name, unit, tuple(map(figure, reports)))
        for section, name, unit, figure in _figures(reports)
    )
    known = tuple(m for m in metrics if any(value is not None for value in m.values))
    return Comparison(tuple(reports), baseline % len(reports), known)


_Figure = Callable[[Report], float | None]

_PARTS = {"hidden": "hidden", "exposed": "exposed", "wait": "waiting"}
"""Parts of a kind's figures, and what a line of the comparison calls them."""


def _figures(reports: Sequence[Report]) -> Iterator[tuple[str, str, Unit, _Figure]]:
    yield "step", "step time", "time", lambda report: report.step_ns
    yield "step", "fastest step", "time", lambda report: _extreme(report, min)
    yield "step", "slowest step", "time", lambda report: _extreme(report, max)
    yield "step", "ideal step time", "time", _ideal_step
    yield "step", "tokens/s", "rate", lambda report: report.tokens_per_second
    yield "bubble", "bubble", "time", lambda report: _mean(report, report.total.bubble_ns)
    yield "bubble", "bubble share", "share", lambda report: report.total.bubble_share
    yield "bubble", "worst rank", "share", _worst_bubble
    yield "bubble", "ideal", "time", _ideal_bubble
    for state in BUBBLE_STATES:
        if any(report.total.states_ns[state] for report in reports):
            yield "bubble", state.partition(".")[2], "time", _of_state(state)
    yield "communication", "hidden share", "share", lambda report: report.total.hidden_share
    for kind in COMMUNICATION_KINDS:
        for part in _PARTS:
            figure = _of_kind(kind, f"{part}_ns")
            if any(figure(report) for report in reports):
                yield "communication", f"{kind} {_PARTS[part]}", "time", figure
    yield "memory", "peak", "bytes", lambda report: report.total.memory.peak_allocated_bytes
    for stage in sorted({stage.stage for report in reports for stage in report.stages}):
        yield "memory", f"stage {stage}", "bytes", _of_stage(stage)


def _mean(report: Report, total_ns: int | None) -> float | None:
    """Per rank and step, from a sum over both."""
    count = len(report.ranks) * len(report.per_step)
    return None if total_ns is None or not count else total_ns / count


def _extreme(report: Report, choose: Callable[[list[int]], int]) -> float | None:
    """The shortest or longest step; None where there is only one."""
    windows = [step.window_ns for step in report.per_step]
    return choose(windows) if len(windows) > 1 else None


def _of_state(state: str) -> _Figure:
    return lambda report: _mean(report, report.total.states_ns[state])


def _of_kind(kind: str, name: str) -> _Figure:
    def figure(report: Report) -> float | None:
        figures = report.total.by_kind.get(kind)
        return None if figures is None else _mean(report, getattr(figures, name))

    return figure


def _of_stage(number: int) -> _Figure:
    def figure(report: Report) -> float | None:
        peaks = {stage.stage: stage.peak_allocated_bytes for stage in report.stages}
        return peaks.get(number)

    return figure


def _worst_bubble(report: Report) -> float | None:
    shares = [rank.bubble_share for rank in report.ranks if rank.bubble_share is not None]
    return max(shares, default=None)


def _ideal_step(report: Report) -> float | None:
    return None if report.ideal is None else report.ideal.window_ns / report.ideal.steps


def _ideal_bubble(report: Report) -> float | None:
    if report.ideal is None:
        return None
    return _mean(report, sum(rank.bubble_ns for rank in report.ideal.ranks))
