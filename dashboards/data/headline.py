"""The headline figures of a run, and how they compare with those of a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpprof.analysis.model import Report
from dpprof.reporters.blocks.units import TimeUnit, bytes_text, rate_text, share_text
from dpprof.tables.devices import rank_name

Unit = Literal["time", "share", "bytes", "rate"]

_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One figure: times per step, and where they are of ranks, the mean over the ranks.

    `value` is None where it is not known, and `reason` says why. `better` is the direction that
    is good news: -1 for less, 1 for more, 0 for neither.
    """

    id: str
    label: str
    unit: Unit
    value: float | None
    about: str
    reason: str = ""
    better: int = -1


def headlines(report: Report) -> list[Headline]:
    """The figures that a run is judged by, in reading order (metrics.md, sections 5 and 6)."""
    return [*_time_headlines(report), *_other_headlines(report)]


def _time_headlines(report: Report) -> list[Headline]:
    total, simulated = report.total, report.source == "simulated"
    return [
        Headline(
            id="step-time",
            label="Step time",
            unit="time",
            value=report.step_ns,
            about="The job's window of a step, on the common clock: steps that follow each other "
            "leave no gap, so what happens between them is in it; mean of the used steps",
            reason="no used step has any activity",
        ),
        Headline(
            id="bubble",
            label="Bubble",
            unit="share",
            value=total.bubble_share,
            about="Time in which a rank neither computes, transfers nor copies, of the step; mean "
            "of the ranks",
            reason="no used step has any activity",
        ),
        Headline(
            id="hidden",
            label="Communication hidden",
            unit="share",
            value=total.hidden_share,
            about="Transfers that run while the rank computes, of all transfers",
            reason=total.hidden_reason or "",
            better=1,
        ),
        Headline(
            id="exposed",
            label="Communication exposed",
            unit="time",
            value=mean_ns(report, total.exposed_ns),
            about="A transfer is under way and the rank does not compute; per step, mean of the "
            "ranks",
            reason="no used step has any activity",
        ),
        Headline(
            id="wait",
            label="Posted, waiting at least" if total.unsplit_ns else "Posted, waiting",
            unit="time",
            value=None if simulated else mean_ns(report, total.wait_ns),
            about="At least one communication waits for its peers: it does not transfer, and the "
            "rank may compute meanwhile; per step, mean of the ranks. At least: operations that "
            "were not matched with their peers' count as transfer",
            reason="a simulated message is posted when it starts to travel: nothing waits inside it"
            if simulated
            else "not told from transferring: no match with the peers' operations",
            better=0,
        ),
    ]


def _other_headlines(report: Report) -> list[Headline]:
    memory = report.total.memory
    whose = f" ({rank_name(memory.rank)})" if memory.rank is not None else ""
    return [
        Headline(
            id="memory",
            label="Peak memory",
            unit="bytes",
            value=memory.peak_allocated_bytes,
            about=f"The most bytes allocated on any rank{whose}",
            reason="no memory events in the traces",
        ),
        Headline(
            id="throughput",
            label="Tokens/s",
            unit="rate",
            value=report.tokens_per_second,
            about="Tokens of a step over the step time",
            reason="nothing says how many tokens a step has",
            better=1,
        ),
    ]


def mean_ns(report: Report, total_ns: int | None) -> float | None:
    """Per rank and step, from a sum over both; None where it is not known."""
    count = len(report.ranks) * len(report.per_step)
    return None if total_ns is None or not count else total_ns / count


def value_text(headline: Headline, unit: TimeUnit) -> str:
    """The figure with its unit; ``n/a`` where it is not known."""
    return _text(headline.unit, headline.value, unit)


def change_text(new: Headline, base: Headline, unit: TimeUnit) -> str:
    """``-29.9% (-1717.83 ms)``, with true minus signs; shares change by points.

    Empty where a side is not known.
    """
    if new.value is None or base.value is None:
        return ""
    change = new.value - base.value
    if new.unit == "share":
        return _signed(change, f"{abs(change) * 100:.1f} points")
    absolute = _signed(change, _text(new.unit, abs(change), unit))
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


def _text(kind: Unit, value: float | None, unit: TimeUnit) -> str:
    match kind:
        case "time":
            return unit.full(value)
        case "share":
            return share_text(value)
        case "bytes":
            return bytes_text(value)
        case "rate":
            return rate_text(value)
