"""Analyzes a run: tables in, a `Report` out, alike for captured, emulated and simulated runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from msgspec.structs import asdict

from dpprof.analysis.accounting.account import Accounting, account
from dpprof.analysis.accounting.bubble_regions import region_figures
from dpprof.analysis.critical_path.walk import path_figures
from dpprof.analysis.experts.load import expert_figures
from dpprof.analysis.figures import (
    MemoryFigures,
    RankFigures,
    StepFigures,
    TimeFigures,
    TotalFigures,
)
from dpprof.analysis.memory.peaks import (
    memory_figures,
    memory_warnings,
    stage_figures,
    total_memory,
)
from dpprof.analysis.model import Report, StepCounts
from dpprof.analysis.observations import ClockFigures, Ideal, RegionFigures, WaitedFor
from dpprof.analysis.outliers import outliers
from dpprof.analysis.overlap.by_kind import Transfers, time_figures, total_figures
from dpprof.analysis.overlap.halves import halves_figures
from dpprof.analysis.report.claimed import claimed
from dpprof.analysis.report.ideal import ideal_figures, spans_steps
from dpprof.analysis.report.per_step import step_figures
from dpprof.analysis.slow_links import slow_links
from dpprof.analysis.slow_slots import slot_lengths, slow_slots
from dpprof.analysis.slower_ranks import slower_ranks
from dpprof.evidence.evidence import texts
from dpprof.evidence.figures import touching
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import (
    CAUSE_RANK,
    END,
    RANK,
    RESIDUAL,
    START,
    STEP,
)
from dpprof.tables.devices import rank_order
from dpprof.tables.kinds import COMMUNICATION_KINDS, STATES

__all__ = ["Report", "analyze"]

_MORE_THAN_NOISE = 1.01
"""The ideal step over the measured one from which it is warned of."""

_UNSTEADY = 1.25
"""The slowest step over the fastest from which a mean of them is warned of."""


def analyze(run: Run, accounting: Accounting | None = None) -> Report:
    """Where the time and memory of a run went (metrics.md, sections 5 to 7).

    `accounting` is that of the run, where it is at hand. Empty runs give a report without ranks'
    times rather than an error; what is not known is None and said in `warnings`.
    """
    accounting = account(run) if accounting is None else accounting
    places = sorted(run.places, key=lambda place: rank_order(place.rank))
    times = {
        place.rank: claimed(_rank_times(accounting, place), run.evidence, place.rank)
        for place in places
    }
    memory = memory_figures(run)
    ideal = ideal_figures(run, accounting)
    if lacking := touching(run.evidence, "ideal"):
        ideal = f"no ideal: evidence is missing for what it stands beside ({lacking[0].check})"
    steps = step_figures(run, accounting)
    window = sum(step.window_ns for step in steps)
    known = bool(steps) and not touching(run.evidence, "step_ns")
    step_ns = round(window / len(steps)) if known else None
    slots = slot_lengths(run)
    manifest = run.manifest
    counted = manifest if manifest is not None and not spans_steps(run) else None
    return Report(
        name=run.name,
        source=run.source,
        schedule=None if run.schedule is None else run.schedule.name,
        pp=_pp(run),
        micro_batches=_micro_batches(run),
        world_size=run.world_size or len(places),
        device=None if manifest is None else manifest.device_name or manifest.device,
        steps=_step_counts(run),
        window_ns=window,
        step_ns=step_ns,
        tokens_per_second=_rate(counted.tokens_per_step if counted else None, step_ns),
        model_flops_per_second=_rate(counted.flops_per_step if counted else None, step_ns),
        ranks=[
            _rank(place, run.devices.get(place.rank), times[place.rank], memory[place.rank])
            for place in places
        ],
        total=TotalFigures(
            **asdict(claimed(total_figures(list(times.values())), run.evidence)),
            memory=total_memory(memory),
        ),
        stages=stage_figures(run, memory),
        per_step=steps,
        ideal=ideal if isinstance(ideal, Ideal) else None,
        regions=[
            one for one in _regions(accounting) if not touching(run.evidence, "bubble_ns", one.rank)
        ],
        waited_for=[] if touching(run.evidence, "bubble_ns") else _waited_for(accounting),
        slow_slots=slow_slots(slots, step_ns),
        outliers=outliers(slots, accounting, step_ns),
        slow_links=slow_links(run, step_ns),
        slower_ranks=slower_ranks(run, slots, ideal if isinstance(ideal, Ideal) else None),
        evidence=list(run.evidence),
        warnings=[
            *texts(run.evidence),
            *_notes(run),
            *run.warnings,
            *_warnings(run, accounting, ideal),
            *_unsteady(steps),
            *memory_warnings(run, memory),
        ],
        critical_path=(
            path_figures(run) if steps and not touching(run.evidence, "critical_path") else None
        ),
        clocks=_clocks(run),
        experts=expert_figures(manifest),
        halves=halves_figures(run),
    )


def _notes(run: Run) -> list[str]:
    """What a captured run says of itself; that others are modelled, every view says anyway."""
    return list(run.manifest.notes) if run.manifest and run.source == "captured" else []


def _clocks(run: Run) -> list[ClockFigures]:
    records = run.clocks.to_dict("records")
    known = [one | {RESIDUAL: one[RESIDUAL] if one[RESIDUAL] >= 0 else None} for one in records]
    return [ClockFigures(**{str(name): value for name, value in one.items()}) for one in known]


def _pp(run: Run) -> int | None:
    """Pipeline ranks; without a schedule or stages, ranks need not form a pipeline at all."""
    if run.schedule is not None:
        return run.schedule.pp
    if run.manifest is not None and "pp" in run.manifest.mesh:
        return run.manifest.mesh["pp"]
    staged = [place for place in run.places if place.stages]
    return len({place.pp_rank for place in staged}) or None


def _micro_batches(run: Run) -> int | None:
    if run.manifest is not None and run.manifest.micro_batches is not None:
        return run.manifest.micro_batches
    return None if run.schedule is None else run.schedule.micro_batches


def _rate(per_step: float | None, step_ns: int | None) -> float | None:
    return per_step / step_ns * 1e9 if per_step is not None and step_ns else None


def _rank(
    place: RankPlace, device: int | None, times: TimeFigures, memory: MemoryFigures
) -> RankFigures:
    return RankFigures(
        **asdict(times),
        rank=place.rank,
        device=device,
        pp_rank=place.pp_rank,
        stages=list(place.stages),
        memory=memory,
    )


def _step_counts(run: Run) -> StepCounts:
    warmup = set() if run.manifest is None else set(run.manifest.steps.warmup)
    return StepCounts(
        used=len(run.used_steps),
        dropped=len(run.dropped_steps),
        warmup=len(warmup & set(run.dropped_steps)),
    )


def _waited_for(accounting: Accounting) -> list[WaitedFor]:
    regions = accounting.regions[accounting.regions[CAUSE_RANK] >= 0]
    lengths = (regions[END] - regions[START]).groupby(regions[CAUSE_RANK]).sum()
    lengths = lengths.sort_values(ascending=False, kind="stable")
    return [
        WaitedFor(rank=rank, bubble_ns=length)
        for rank, length in zip(lengths.index.tolist(), lengths.tolist(), strict=True)
    ]


def _unsteady(steps: Sequence[StepFigures]) -> list[str]:
    windows = sorted(step.window_ns for step in steps)
    if len(windows) < 2 or windows[-1] <= _UNSTEADY * windows[0]:
        return []
    slowest = max(steps, key=lambda step: step.window_ns).step
    return [
        f"unsteady: steps take {windows[0] / 1e6:.2f} to {windows[-1] / 1e6:.2f} ms (slowest: step "
        f"{slowest}), so their mean says little; profile more steps, or pick some with --steps"
    ]


def _rank_times(accounting: Accounting, place: RankPlace) -> TimeFigures:
    table = accounting.states[accounting.states[RANK] == place.rank]
    transfers = [one for one in accounting.transfers if one.rank == place.rank]
    return time_figures(transfers, _sums(table), accounting.including_wait[place.rank])


def _sums(states: pd.DataFrame) -> dict[str, int]:
    sums = states[list(STATES)].to_numpy(np.int64).sum(axis=0)
    return dict(zip(STATES, sums.tolist(), strict=True))


def _regions(accounting: Accounting) -> list[RegionFigures]:
    first = accounting.states.groupby(STEP)[START].first()
    origins = dict(zip(first.index.tolist(), first.tolist(), strict=True))
    return region_figures(accounting.regions, origins)


def _warnings(run: Run, accounting: Accounting, ideal: Ideal | str) -> list[str]:
    warnings = []
    seen = set(run.held.spans[STEP])
    silent = [step for step in run.used_steps if step not in seen]
    if silent:
        words = "nothing was launched in them" if len(run.steps) else "they count as 0 ns"
        warnings.append(f"no activity in steps {', '.join(map(str, silent))}: {words}")
    if accounting.outside_steps:
        warnings.append(
            f"{accounting.outside_steps} of {run.held.count} activities run outside the marked "
            "steps and count in none of them; --whole-trace takes them in"
        )
    unsplit = _unsplit(accounting.transfers)
    if unsplit:
        warnings.append(
            f"unsplit: {', '.join(unsplit)}: operations were not matched with those of their peers "
            "(traces not at hand, or nothing in them to match by), so waiting counts as transfer "
            "and no bubble is claimed from it"
        )
    if accounting.left_out.regions:
        warnings.append(
            f"{accounting.left_out.regions} bubble regions, the shortest of each rank, are not "
            f"listed ({accounting.left_out.total_ns / 1e6:.1f} ms together); the sums count them"
        )
    if isinstance(ideal, str) and run.schedule is not None:
        warnings.append(ideal)
    if isinstance(ideal, Ideal):
        warnings += _too_long(ideal, _window_ns(accounting))
    return warnings


def _window_ns(accounting: Accounting) -> int:
    """All windows of the measured steps; those of a step are of one length on all ranks."""
    windows = accounting.states.groupby(STEP)[[START, END]].first()
    return int((windows[END] - windows[START]).sum())


def _too_long(ideal: Ideal, window_ns: int) -> list[str]:
    """An ideal step that takes longer than the measured one: no least at all, and why."""
    if ideal.window_ns <= _MORE_THAN_NOISE * window_ns:
        return []
    return [
        f"ideal: {ideal.window_ns / ideal.steps / 1e6:.2f} ms is longer than the step as measured, "
        f"{window_ns / ideal.steps / 1e6:.2f} ms: slots hold waiting for their inputs, which their "
        "lengths count as work; label what a slot computes alone, or run under `dpprof run`"
    ]


def _unsplit(transfers: Sequence[Transfers]) -> list[str]:
    """The kinds that are unsplit, each with how much of it is where only a part is."""
    found = []
    for kind in COMMUNICATION_KINDS:
        figures = [one.by_kind[kind] for one in transfers if kind in one.by_kind]
        left = sum(one.unsplit_ns for one in figures)
        partly = any(one.wait_ns is not None and one.total_ns for one in figures)
        if left:
            found.append(f"{kind} (in part: {left / 1e6:.2f} ms)" if partly else kind)
    return found
