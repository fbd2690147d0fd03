"""The findings of a run: what would make its steps shorter, by how much, and how to change it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from dpprof.analysis.model import Report
from dpprof.analysis.observations import SLOW_RANK, Finding
from dpprof.costs.stages import model_layers
from dpprof.errors import DpprofError
from dpprof.findings.change import Change
from dpprof.findings.changes import changes
from dpprof.findings.head_of_line import head_of_line
from dpprof.findings.overlaps import with_overlaps
from dpprof.findings.replay import MOST_OFF, Lengths, Replay, make_replay
from dpprof.findings.slow_ranks import slow_ranks
from dpprof.plan.partition import balanced_cut
from dpprof.plan.predict import Predictor
from dpprof.plan.question import Question, Row
from dpprof.runs.run import Run
from dpprof.schedules.actions import slot_operation
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule

MOST_FINDINGS = 10
LEAST_SHARE = 0.005
"""Findings that gain less of the step are left out."""
_STEADY = 0.25
_NO_STEP_TIME = "the evidence does not carry the step time, and so no part of it"


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """Findings, largest gain first, or the reason why none can be made."""

    step_ns: int | None
    findings: list[Finding]
    reason: str = ""


def find_findings(run: Run, report: Report) -> Findings:
    """At most `MOST_FINDINGS` findings of a run, of which `report` is; docs/findings.md says how.

    Each gain is computed by timing the run's own slots again without the thing, alone: gains do
    not add up. Where the run cannot be replayed there are none, and `reason` says why.
    """
    if report.step_ns is None:
        return Findings(step_ns=None, findings=[], reason=_NO_STEP_TIME)
    replay = make_replay(
        run, {step.step: (step.start_ns, step.window_ns) for step in report.per_step}
    )
    if isinstance(replay, str):
        return Findings(step_ns=None, findings=[], reason=replay)
    base = replay.step_ns()
    every = (*changes(replay), *head_of_line(replay))
    timed = [(_timed(replay, base, change), change) for change in every]
    timed = [(one, change) for one, change in timed if one.share >= LEAST_SHARE]
    timed.sort(key=lambda pair: -pair[0].gain_ns)
    found = with_overlaps(replay, base, timed)
    more = [
        *_between_steps(replay),
        *_uneven_stages(replay, base),
        *_other_schedule(replay, base),
    ]
    found += [one for one in more if one.share >= LEAST_SHARE]
    found.sort(key=lambda one: -one.gain_ns)
    step_ns = round(float(replay.window_ns.mean()))
    return Findings(step_ns=step_ns, findings=found[:MOST_FINDINGS])


def with_findings(run: Run, report: Report) -> Report:
    """The report of a run with its findings."""
    return msgspec.structs.replace(report, findings=find_findings(run, report).findings)


def _timed(replay: Replay, base: Lengths, change: Change) -> Finding:
    without = replay.step_ns(change.length_ns, change.late_ns, change.message)
    return _finding(replay, base - without, change)


def _finding(replay: Replay, gains: Lengths, change: Change) -> Finding:
    gain = max(0, round(float(gains.mean())))
    window = float(replay.window_ns.mean())
    stages = _stages(replay, change.ranks)
    return Finding(
        what=change.what,
        ranks=list(change.ranks),
        stages=stages,
        slots=list(change.slots),
        gain_ns=gain,
        share=gain / window if window else 0.0,
        confidence=_confidence(gains),
        knob=change.knob,
        text=f"{change.text}, a step would be {gain / 1e6:.2f} ms ({gain / window:.1%}) shorter",
    )


def _stages(replay: Replay, ranks: tuple[int, ...]) -> list[int]:
    assert replay.run.schedule is not None
    stages = replay.run.schedule.placement.stages
    return sorted({stage for rank in ranks for stage in stages[rank]})


def _confidence(gains: Lengths) -> str:
    """``high`` where steps agree within a quarter, ``medium`` for one step, else ``low``."""
    mean = float(gains.mean())
    if len(gains) < 2:
        return "medium"
    steady = mean > 0 and float(np.ptp(gains)) <= _STEADY * mean
    return "high" if steady else "low"


def _between_steps(replay: Replay) -> Iterator[Finding]:
    """Time in the steps' windows outside of slots in which no device does anything."""
    change = Change(
        "between steps",
        "before the first slot and after the last no device does anything for a while: without",
        "the data loader (num_workers, prefetch_factor), checkpoints, logging, launches of the "
        "optimizer step",
        tuple(range(replay.run.schedule.pp)) if replay.run.schedule else (),
    )
    if (replay.empty_ns > 0).all():
        yield _finding(replay, replay.empty_ns, change)


def _question(replay: Replay) -> Question:
    """The run's own job, with its own costs."""
    own, costs = replay.run.schedule, replay.costs
    assert own is not None
    return Question(
        ranks=own.pp,
        pps=(own.pp,),
        costs=costs,
        layers=model_layers(costs, own.placement.stage_count),
        micro_batches=(own.micro_batches,),
    )


def _uneven_stages(replay: Replay, base: Lengths) -> Iterator[Finding]:
    """Other numbers of layers on the stages, where they have unequally many or a head is one's.

    Only where no rank is slow: layers of a slow rank would be fast elsewhere.
    """
    own, costs = replay.run.schedule, replay.costs
    assert own is not None
    if not costs.model or any(change.what == SLOW_RANK for change in slow_ranks(replay)):
        return
    predictor = Predictor(_question(replay))
    try:
        mine = predictor.row(own)
        even = predictor.row(own, cut=balanced_cut(costs, own.placement.stage_count))
        best = min((predictor.mended(one, own) for one in (mine, even)), key=_step_ns)
    except DpprofError:
        return
    if _step_ns(best) >= _step_ns(mine) or not _foretells(mine, base):
        return
    now, then = (", ".join(map(str, row.stage_layers)) for row in (mine, best))
    change = Change(
        "uneven stages",
        f"stages have {now} layers and take unequally long: with {then}",
        "Megatron --decoder-first-pipeline-num-layers, --pipeline-model-parallel-layout; "
        "torchtitan module_fqns_per_model_part; DeepSpeed PipelineModule partition_method",
    )
    yield _finding(replay, np.full(len(base), _step_ns(mine) - _step_ns(best), np.int64), change)


def _other_schedule(replay: Replay, base: Lengths) -> Iterator[Finding]:
    """The fastest known schedule of the same stages with no more of them in flight."""
    own, predictor = replay.run.schedule, Predictor(_question(replay))
    assert own is not None
    try:
        mine = predictor.row(own)
    except DpprofError:
        return
    rows = (row for row in _same_stages(predictor, own, mine) if _comparable(row, mine))
    best = min((mine, *rows), key=_step_ns)
    gain = _step_ns(mine) - _step_ns(best)
    if gain <= 0 or not _foretells(mine, base):
        return
    unmeasured = _new_operations(best, own)
    assumed = f", {' and '.join(unmeasured)} taken from other slots' costs" if unmeasured else ""
    change = Change(
        "schedule",
        f"with the costs of this run{assumed} {best.schedule} takes less than {own.name}, with "
        f"{max(best.peak_chunks)} chunks in flight for {max(mine.peak_chunks)}: if it ran",
        f"schedule {best.schedule} (dpprof plan compares, dpprof search finds better ones)",
    )
    found = _finding(replay, np.full(len(base), gain, np.int64), change)
    yield msgspec.structs.replace(found, confidence="low") if unmeasured else found


def _same_stages(predictor: Predictor, own: Schedule, mine: Row) -> Iterator[Row]:
    """The other known schedules that can run the stages as they are cut."""
    for name in schedule_names():
        try:
            other = make_schedule(name, own.pp, own.micro_batches)
            if name != own.name and other.placement.stage_count == len(mine.stage_layers):
                yield predictor.row(other, cut=mine.stage_layers)
        except DpprofError:  # sizes that it cannot have, or operations without costs
            continue


def _step_ns(row: Row) -> int:
    assert row.step_ns is not None  # a run's own costs say all times
    return row.step_ns


def _foretells(mine: Row, base: Lengths) -> bool:
    """Whether the costs give the step that the run itself took: else they give no other."""
    return bool(abs(_step_ns(mine) / float(base.mean()) - 1) <= MOST_OFF)


def _new_operations(best: Row, own: Schedule) -> list[str]:
    """Operations of the schedule that the run has not: their costs were not measured."""
    other = make_schedule(best.schedule, best.pp, best.micro_batches)
    ran, runs = (
        {slot_operation(slot) for slots in one.ranks for slot in slots} for one in (own, other)
    )
    return sorted(runs - ran)


def _comparable(row: Row, mine: Row) -> bool:
    held = max(row.peak_bytes or (0,)) <= max(mine.peak_bytes or (0,))
    return held and max(row.peak_chunks) <= max(mine.peak_chunks)
