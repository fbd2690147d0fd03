"""Several reports side by side, each figure also as a ratio to a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dpprof.analysis.metrics import IDEAL, METRICS, PEAK
from dpprof.analysis.model import REPORT_SCHEMA_VERSION, Report
from dpprof.statistics.figure import Unit
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS


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
_Line = tuple[str, str, Unit, _Figure]

_KIND_TIMES = ("hidden_ns", "exposed_ns", "wait_ns", "blocking_ns")


def _figures(reports: Sequence[Report]) -> Iterator[_Line]:
    yield _line("step", "step_ns")
    if any(len(report.per_step) > 1 for report in reports):
        yield from (_line("step", name) for name in ("fastest_step_ns", "slowest_step_ns"))
    yield from (_line("step", name) for name in (f"{IDEAL}step_ns", "tokens_per_second"))
    yield from (_line("bubble", name) for name in ("bubble_ns", "bubble_share"))
    yield "bubble", "worst rank", "share", _worst_bubble
    yield _line("bubble", f"{IDEAL}bubble_ns")
    for state in BUBBLE_STATES:
        if any(report.total.states_ns[state] for report in reports):
            yield _line("bubble", f"{state}_ns")
    yield _line("communication", "hidden_share")
    for kind in COMMUNICATION_KINDS:
        lines = [_kind_line(kind, name) for name in _KIND_TIMES]
        yield from (line for line in lines if any(map(line[3], reports)))
    yield _line("memory", PEAK)
    for stage in sorted({stage.stage for report in reports for stage in report.stages}):
        yield "memory", f"stage {stage}", "bytes", _of_stage(stage)


def _kind_line(kind: str, name: str) -> _Line:
    """A time of a kind, which a run without that kind does not have."""
    section, label, unit, figure = _line("communication", f"{kind}.{name}")
    return (
        section,
        label,
        unit,
        lambda report: figure(report) if kind in report.total.by_kind else None,
    )


def _line(section: str, name: str) -> _Line:
    """A figure of the registry."""
    metric = METRICS[name]
    return section, metric.label, metric.unit, metric.carried


def _of_stage(number: int) -> _Figure:
    def figure(report: Report) -> float | None:
        peaks = {stage.stage: stage.peak_allocated_bytes for stage in report.stages}
        return peaks.get(number)

    return figure


def _worst_bubble(report: Report) -> float | None:
    shares = [rank.bubble_share for rank in report.ranks if rank.bubble_share is not None]
    return max(shares, default=None)
