"""Bubble regions and headlines in words."""

from __future__ import annotations

from typing import Protocol

from dpprof.analysis.diff.model import DiffSide
from dpprof.analysis.model import Report
from dpprof.analysis.observations import RegionFigures
from dpprof.reporters.blocks.units import TimeUnit, share_text
from dpprof.tables.devices import rank_name, rank_of
from dpprof.tables.kinds import (
    BUBBLE_COOLDOWN,
    BUBBLE_DEPENDENCY,
    BUBBLE_HOST,
    BUBBLE_STRAGGLER,
    BUBBLE_WARMUP,
)

_SHOWN_SHARE = 0.005
_LONGEST_NAME = 60

_SOURCES = {
    "captured": "captured",
    "emulated": "EMULATED: the time of components and messages is modelled, not measured",
    "simulated": "SIMULATED: computed from costs, nothing ran",
}


class _HasSource(Protocol):
    """Anything made from a run."""

    @property
    def source(self) -> str:
        """Where its figures come from."""


def source_words(report: _HasSource) -> str:
    """Where the figures come from; anything but a capture stands out."""
    return _SOURCES[report.source]


def run_words(report: Report | DiffSide) -> str:
    """Schedule, sizes and device in one line."""
    words = [report.schedule or "schedule not known"]
    if report.pp is not None:
        words.append(f"PP {report.pp}")
    if report.micro_batches is not None:
        words.append(_count(report.micro_batches, "micro-batch", "micro-batches"))
    rows = [one if isinstance(one, int) else one.rank for one in report.ranks]
    present = len({rank_of(row) for row in rows})
    ranks = _count(present, "rank", "ranks")
    words.append(ranks if present == report.world_size else f"{ranks} of {report.world_size}")
    if len(rows) > present:
        words.append(f"{len(rows)} devices")
    if report.device:
        words.append(report.device)
    return ", ".join(words)


def step_words(report: Report, unit: TimeUnit) -> str:
    """Step time, its spread, and how many steps it is taken from."""
    windows = [step.window_ns for step in report.per_step]
    used = _count(report.steps.used, "step", "steps")
    text = f"step time {unit.full(report.step_ns)}"
    if len(windows) > 1:
        spread = f"{unit.text(min(windows))} to {unit.full(max(windows))}"
        text += f", mean of {used} ({spread})"
    else:
        text += f", {used}"
    other = report.steps.dropped - report.steps.warmup
    if report.steps.warmup:
        text += f"; {_count(report.steps.warmup, 'warm-up step', 'warm-up steps')} dropped"
    if other:
        text += f"; {_count(other, 'other step', 'other steps')} not used"
    return text


def path_words(report: Report) -> str:
    """``critical path: compute 71 %, p2p 9 %, host 4 %; rank 3 has most of it, 60 %``."""
    path = report.critical_path
    if path is None or not report.window_ns:
        return ""
    parts = [
        f"{kind} {share_text(time / report.window_ns)}"
        for kind, time in path.by_kind_ns.items()
        if time / report.window_ns >= _SHOWN_SHARE
    ]
    rank, most = next(iter(path.by_rank_ns.items()))
    where = f"; {share_text(most / report.window_ns)} of it on {rank_name(rank)}"
    several = len(path.by_rank_ns) > 1
    return f"critical path: {', '.join(parts)}{where if several else ''}"


def region_words(region: RegionFigures, unit: TimeUnit, *, with_step: bool) -> str:
    """``rank 3 idle 4.20 ms, 13.10 ms into the step, steady: waits for rank 2, B1.3``."""
    step = f"step {region.step}" if with_step else "the step"
    into = f"{unit.full(region.offset_ns)} into" if region.offset_ns else "from the start of"
    return (
        f"{rank_name(region.rank)} idle {unit.full(region.length_ns)}, {into} {step}, "
        f"{region.phase}: {reason_words(region)}"
    )


def reason_words(region: RegionFigures) -> str:
    """Why the rank was idle: ``waits for rank 2, B1.3``."""
    match region.state:
        case state if state == BUBBLE_DEPENDENCY:
            return _waits(region) or "waits for a message"
        case state if state == BUBBLE_STRAGGLER:
            straggler = (
                "stragglers" if region.cause_rank is None else f"{rank_name(region.cause_rank)}"
            )
            return f"waits in {region.cause or 'a collective'} for {straggler}, the last to come"
        case state if state == BUBBLE_HOST:
            late = _late_words(region)
            return late + (f" (in {region.slot})" if region.slot else "")
        case state if state == BUBBLE_WARMUP:
            return ", ".join(filter(None, ["nothing computed yet", _waits(region)]))
        case state if state == BUBBLE_COOLDOWN:
            return ", ".join(filter(None, ["nothing left to compute", _waits(region)]))
    return "no cause found" + (f" (before {region.slot})" if region.slot else "")


def _late_words(region: RegionFigures) -> str:
    if not region.cause:
        return "the host came late"
    if region.cause_kind == "host":
        return f"host in {region.cause[:_LONGEST_NAME]}"
    return f"launched late: {region.cause[:_LONGEST_NAME]}"


def _waits(region: RegionFigures) -> str:
    if region.cause_rank is None:
        return ""
    receiving = "receiving " if region.cause_kind == "receiver" else ""
    what = f", {receiving}{region.cause}" if region.cause else ""
    return f"waits for {rank_name(region.cause_rank)}{what}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
