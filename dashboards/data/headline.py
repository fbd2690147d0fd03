"""The headline figures of a run, and how they compare with those of a baseline."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.analysis.metrics import METRICS, PEAK, Metric
from dpprof.analysis.model import Report
from dpprof.reporters.blocks.bounds import bounded
from dpprof.reporters.blocks.units import TimeUnit, figure_text
from dpprof.statistics.figure import Unit
from dpprof.tables.devices import rank_name

LACKING = "the evidence does not carry it"
"""Why a figure is n/a of which some evidence is missing."""

_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One figure of the registry (`dpprof.analysis.metrics`), as a tile shows it.

    `value` is None where it is not known, and `reason` says why. `better` is the direction that
    is good news: -1 for less, 1 for more, 0 for neither. `sign` is that of a bound (``≥``), where
    the figure is known in part.
    """

    id: str
    label: str
    unit: Unit
    value: float | None
    about: str
    reason: str = ""
    sign: str = ""
    better: int = -1


_IDS = {
    "step_ns": "step-time",
    "bubble_share": "bubble",
    "hidden_share": "hidden",
    "exposed_ns": "exposed",
    "wait_ns": "wait",
    PEAK: "memory",
    "tokens_per_second": "throughput",
}
"""The figures that a run is judged by, in reading order, with what the page calls them."""


def headlines(report: Report) -> list[Headline]:
    """The figures that a run is judged by (metrics.md, sections 5 and 6)."""
    return [_headline(report, METRICS[name], id) for name, id in _IDS.items()]


def _headline(report: Report, metric: Metric, id: str) -> Headline:
    unsaid = metric.name == "wait_ns" and report.source == "simulated"
    return Headline(
        id=id,
        label=metric.label[:1].upper() + metric.label[1:],
        unit=metric.unit,
        value=None if unsaid else metric.carried(report),
        about=_about(report, metric),
        reason=_reason(report, metric),
        sign=bounded("", metric.name, report.total),
        better=metric.better,
    )


def _about(report: Report, metric: Metric) -> str:
    if metric.memory:
        rank = report.total.memory.rank
        return metric.about + (f" ({rank_name(rank)})" if rank is not None else "")
    if metric.scope == "job" or metric.unit != "ns":
        return metric.about
    return f"{metric.about}; per step, mean of the ranks"


def _reason(report: Report, metric: Metric) -> str:
    if metric.name == "wait_ns" and report.source == "simulated":
        return "a simulated message is posted when it starts to travel: nothing waits inside it"
    if metric.lacking(report):
        return LACKING
    return metric.unclaimed(report) or _REASONS.get(metric.name, "no used step has any activity")


_REASONS = {
    "hidden_share": "",
    "wait_ns": "not told from transferring: no match with the peers' operations",
    PEAK: "no memory events in the traces",
    "tokens_per_second": "nothing says how many tokens a step has",
}


def value_text(headline: Headline, unit: TimeUnit) -> str:
    """The figure with its unit; ``n/a`` where it is not known."""
    text = figure_text(headline.value, headline.unit, unit)
    return text if headline.value is None else f"{headline.sign}{text}"


def change_text(new: Headline, base: Headline, unit: TimeUnit) -> str:
    """``-29.9% (-1717.83 ms)``, with true minus signs; shares change by points.

    Empty where a side is not known.
    """
    if new.value is None or base.value is None:
        return ""
    change = new.value - base.value
    if new.unit == "share":
        return _signed(change, f"{abs(change) * 100:.1f} points")
    absolute = _signed(change, figure_text(abs(change), new.unit, unit))
    if not base.value:
        return absolute
    return f"{_signed(change, f'{abs(change) / base.value:.1%}')} ({absolute})"


def _signed(change: float, text: str) -> str:
    """The size of a change after its sign; that of one which rounds to nothing is neither."""
    nothing = not any(digit in text for digit in "123456789")
    return f"{'±' if nothing else '+' if change > 0 else _MINUS}{text}"


def is_better(new: Headline, base: Headline) -> bool | None:
    """Whether the change is good news; None where it is neither, or next to nothing."""
    if new.value is None or base.value is None or not new.better:
        return None
    change = (new.value - base.value) * new.better
    least = 0.001 * (1.0 if new.unit == "share" else abs(base.value))
    return None if abs(change) <= least else change > 0
