"""Which runs a page looks at, beside which baseline, and in what unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.analysis.model import Report
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.steps import view_step
from dpprof.reporters.blocks.units import TimeUnit, time_unit


@dataclass(frozen=True)
class ComparedRuns:
    """The runs that are looked at, and the one that they are compared with, if any."""

    runs: tuple[LibraryRun, ...]
    base: LibraryRun | None

    @property
    def everything(self) -> tuple[LibraryRun, ...]:
        """The runs and then the baseline."""
        return (*self.runs, *(() if self.base is None else (self.base,)))

    def some(self, most: int) -> tuple[LibraryRun, ...]:
        """At most so many of `everything`, the baseline among them."""
        base = self.everything[len(self.runs) :]
        return (*self.runs[: most - len(base)], *base)

    def left_out(self, most: int) -> list[str]:
        """That `some` leaves runs out, in words; nothing where it does not."""
        names = [run.id for run in self.everything if run not in self.some(most)]
        words = f"not shown: {', '.join(names)}; choose up to {most} runs above"
        return [words] if names else []

    @property
    def unit(self) -> TimeUnit:
        """The unit of all times: that of the shortest step."""
        steps = [run.report.step_ns for run in self.everything if run.report.step_ns]
        return time_unit(min(steps, default=None))


def compared(context: Context) -> ComparedRuns:
    """What a view compares; the baseline alone is looked at like any other run."""
    base = context.baseline
    runs = tuple(run for run in context.runs if base is None or run.id != base.id)
    return ComparedRuns(runs, base) if runs else ComparedRuns(context.runs, None)


def fine_unit(unit: TimeUnit, longest_ns: int) -> TimeUnit:
    """A smaller unit where all times are short."""
    return unit if longest_ns >= unit.nanoseconds / 10 else time_unit(longest_ns)


def unlike(report: Report, base: Report) -> list[str]:
    """What makes a comparison of two runs say little, in words."""
    pairs: Sequence[tuple[str, object, object]] = (
        ("come from", report.source, base.source),
        ("have pipeline ranks:", report.pp, base.pp),
        ("have ranks:", report.world_size, base.world_size),
        ("have micro-batches:", report.micro_batches, base.micro_batches),
        ("ran on", report.device, base.device),
    )
    return [
        f"the runs {what} {said(new)} and {said(old)} ({report.name}, {base.name}); keep that in "
        "mind where figures are compared"
        for what, new, old in pairs
        if new != old
    ]


def said(value: object) -> str:
    """A value, or that it is not known."""
    return "what is not known" if value is None else str(value)


def shown_step(context: Context, run: LibraryRun) -> int | None:
    """The step of a run that a view shows; None where it has none."""
    steps = [one.step for one in run.report.per_step]
    return view_step(context.view.step, steps) if steps else None
