"""A run's steps as slots, lengths and messages that can be timed again with something changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.analysis.costs_from_run import component_occurrences, costs_from_run
from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.findings.device_time import DeviceTime, covered
from dpprof.findings.slot_models import SlotModels
from dpprof.findings.slow_edges import message_costs
from dpprof.runs.run import Run
from dpprof.schedules.actions import Slot, slot_operation, slot_text
from dpprof.simulate.plan import StepPlan, make_plan
from dpprof.simulate.walk import Edge, walk
from dpprof.tables.columns import END, RANK, SLOT, START, STEP
from dpprof.tables.intervals import Intervals, length_before, union

Lengths = npt.NDArray[np.int64]

MOST_OFF = 0.03
"""Share of the step by which the replay of an unchanged step may miss it."""


@dataclass(frozen=True)
class Replay:
    """The used steps of a run; arrays are (steps, slots), slots numbered as in `plan`.

    `length_ns` is the time of a slot from its first component to its last, of which nothing at
    all runs in `idle_ns`, and what belongs to no component in `unlabelled_ns`. `late_ns` is how
    much later a slot started than its rank was free and its inputs had come while its device was
    idle, `held_ns` how much while it did other work. `window_ns` is the steps' windows,
    `around_ns` the part of them before the first slot and after the last of all ranks, and
    `empty_ns` the part of that in which no device does anything. A message takes what `edges` says
    of a slow edge, else `message`, the median of the others.
    """

    run: Run
    plan: StepPlan
    costs: CostProfile
    message: MessageCost
    edges: Mapping[Edge, MessageCost]
    device: DeviceTime
    models: SlotModels
    starts: Lengths
    length_ns: Lengths
    idle_ns: Lengths
    unlabelled_ns: Lengths
    late_ns: Lengths
    held_ns: Lengths
    window_ns: Lengths
    around_ns: Lengths
    empty_ns: Lengths
    pp_rank: Lengths  # of each slot
    operation: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    """Operation and directions of each slot: what decides its length on its rank."""

    def kinds(self) -> Iterator[tuple[int, Slot, Lengths]]:
        """Slots that are alike: their rank, one of them, and the numbers of all."""
        assert self.run.schedule is not None
        for rank, slots in enumerate(self.run.schedule.ranks):
            kind = self.kind[self.pp_rank == rank]
            for one in np.unique(kind):
                places = np.flatnonzero(kind == one)
                yield rank, slots[places[0]], places + self.plan.offsets[rank]

    def step_ns(
        self,
        length_ns: Lengths | None = None,
        late_ns: Lengths | None = None,
        message: MessageCost | None = None,
    ) -> Lengths:
        """Length of every step from first slot to last with what is given in place of its own.

        A `message` is that of all edges.
        """
        lengths = self.length_ns if length_ns is None else length_ns
        late = self.late_ns if late_ns is None else late_ns
        cost, edges = (self.message, self.edges) if message is None else (message, {})
        steps = (
            walk(self.plan, row.tolist(), cost, "eager", edges)
            for row in np.maximum(lengths, 0) + np.maximum(late, 0) + self.held_ns
        )
        return np.array([max(times.ends) for times in steps], np.int64)


def shortened(lengths: npt.NDArray[np.float64], ratio: float) -> npt.NDArray[np.float64]:
    """(steps, slots of one kind) at `ratio` of what they take in the median over all steps.

    In a step whose slots are shorter than usual they get no shorter than that: what made them long
    is not in every step.
    """
    by_step = np.maximum(np.median(lengths, axis=1, keepdims=True), 1)
    short: npt.NDArray[np.float64] = lengths * np.clip(
        ratio * np.median(lengths) / by_step, ratio, 1
    )
    return short


def make_replay(run: Run, windows: Mapping[int, tuple[int, int]]) -> Replay | str:
    """The replay of a run, whose used steps have these windows (start and length in ns).

    Where there can be none: why.
    """
    if run.schedule is None:
        return "the schedule of the run is not known"
    plan = make_plan(run.schedule)
    spans = _spans(run, plan, windows)
    if isinstance(spans, str):
        return spans
    try:
        lengths = component_occurrences(run)
        costs = costs_from_run(run, occurrences=lengths)
    except DpprofError as error:
        return str(error)
    starts, ends, window_start, window_ns = spans
    pp_rank = np.repeat(np.arange(run.schedule.pp), np.diff(plan.offsets))
    slots = [slot for slots in run.schedule.ranks for slot in slots]
    device = DeviceTime(run)
    busy = device.busy()
    message, edges = message_costs(run, costs.message)
    late = _late(plan, starts, ends, message, edges)
    held = covered(busy, pp_rank, starts - late, starts)
    replay = Replay(
        run=run,
        plan=plan,
        costs=costs,
        message=message,
        edges=edges,
        device=device,
        models=SlotModels(run, costs, lengths),
        starts=starts,
        length_ns=ends - starts,
        idle_ns=ends - starts - covered(busy, pp_rank, starts, ends),
        unlabelled_ns=covered(device.unlabelled(), pp_rank, starts, ends),
        late_ns=late - held,
        held_ns=held,
        window_ns=window_ns,
        around_ns=window_ns - (ends.max(axis=1) - starts.min(axis=1)),
        empty_ns=_empty(busy, starts, ends, window_start, window_ns),
        pp_rank=pp_rank,
        operation=np.array([slot_operation(slot) for slot in slots]),
        kind=np.array(["&".join(f"{one[0]}{one[1]}" for one in slot) for slot in slots]),
    )
    around = replay.around_ns
    off = np.abs(replay.step_ns() + around - window_ns) / np.maximum(window_ns, 1)
    if off.max() > MOST_OFF:
        return (
            f"replaying the unchanged steps misses them by up to {off.max():.1%}: what is not in "
            "the slots decides the step"
        )
    return replay


def _spans(
    run: Run, plan: StepPlan, windows: Mapping[int, tuple[int, int]]
) -> tuple[Lengths, Lengths, Lengths, Lengths] | str:
    """(steps, slots) starts and ends over the ranks of a pipeline rank, and the steps' windows.

    A window is from its start and so long, but no shorter than its slots.
    """
    assert run.schedule is not None
    number = {
        (pp_rank, slot_text(slot)): plan.offsets[pp_rank] + position
        for pp_rank, slots in enumerate(run.schedule.ranks)
        for position, slot in enumerate(slots)
    }
    slots = run.slots[run.slots[STEP].isin(run.used_steps) & run.slots[RANK].isin([*run.pp_rank])]
    keys = zip(slots[RANK].map(run.pp_rank), slots[SLOT].astype(str), strict=True)
    rows = np.array([number.get((int(rank), text), -1) for rank, text in keys], np.int64)
    slots = slots.assign(number=rows)[rows >= 0]
    grouped = slots.groupby([STEP, "number"]).agg({START: "min", END: "max"})
    steps = sorted(set(slots[STEP]))
    if not steps or len(grouped) < len(steps) * plan.offsets[-1]:
        return "not every slot of the schedule is in the trace of every used step"
    shape = (len(steps), plan.offsets[-1])
    starts = grouped[START].to_numpy(np.int64).reshape(shape)
    ends = grouped[END].to_numpy(np.int64).reshape(shape)
    first, last = starts.min(axis=1), ends.max(axis=1)
    marked = [windows.get(int(step), (int(at), 0)) for step, at in zip(steps, first, strict=True)]
    begin = np.minimum(np.array([start for start, _ in marked], np.int64), first)
    end = np.maximum(np.array([sum(one) for one in marked], np.int64), last)
    return starts, ends, begin, end - begin


def _empty(
    busy: Mapping[int, Intervals],
    starts: Lengths,
    ends: Lengths,
    window_start: Lengths,
    window_ns: Lengths,
) -> Lengths:
    """Of the windows, outside of all slots: the time in which no device does anything."""
    every = union(*busy.values())
    total = np.zeros_like(window_ns)
    for first, last in (
        (window_start, starts.min(axis=1)),
        (ends.max(axis=1), window_start + window_ns),
    ):
        total += last - first - (length_before(every, last) - length_before(every, first))
    return total


def _late(
    plan: StepPlan,
    starts: Lengths,
    ends: Lengths,
    message: MessageCost,
    edges: Mapping[Edge, MessageCost],
) -> Lengths:
    """How long after its rank was free, and its inputs there, a slot began; at least 0.

    Messages of an edge travel one after another, as in `dpprof.simulate.walk`.
    """
    ready = np.full_like(starts, np.iinfo(np.int64).min)
    firsts = np.array(plan.offsets[:-1])
    follows = np.setdiff1d(np.arange(plan.offsets[-1]), firsts)
    ready[:, follows] = ends[:, follows - 1]
    ready[:, firsts] = starts.min(axis=1, keepdims=True)
    edge_free: dict[Edge, Lengths] = {}
    for producer, _, consumer, source, target in plan.messages:
        edge = source, target
        cost = edges.get(edge, message)
        sent = np.maximum(ends[:, producer], edge_free.get(edge, starts.min()))
        edge_free[edge] = sent + cost.transfer_ns
        ready[:, consumer] = np.maximum(ready[:, consumer], sent + cost.duration_ns)
    late: Lengths = np.maximum(starts - ready, 0)
    return late
