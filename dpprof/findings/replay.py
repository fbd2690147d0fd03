"""A run's steps as slots, lengths and messages that can be timed again with something changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.schedules.actions import slot_operation, slot_text
from dpprof.simulate.plan import StepPlan, make_plan
from dpprof.simulate.walk import walk
from dpprof.tables.columns import END, RANK, SLOT, START, STEP

Lengths = npt.NDArray[np.int64]

MOST_OFF = 0.03
"""Share of the step by which the replay of an unchanged step may miss it."""


@dataclass(frozen=True)
class Replay:
    """The used steps of a run; arrays are (steps, slots), slots numbered as in `plan`.

    `length_ns` is the time of a slot from its first component to its last, `late_ns` how much
    later it started than its rank was free and its inputs had come. `window_ns` is the steps'
    windows, `around_ns` the part of them before the first slot and after the last of all ranks.
    """

    run: Run
    plan: StepPlan
    costs: CostProfile
    length_ns: Lengths
    late_ns: Lengths
    window_ns: Lengths
    around_ns: Lengths
    pp_rank: Lengths  # of each slot
    operation: npt.NDArray[np.str_]

    @property
    def message(self) -> MessageCost:
        """What a message between pipeline ranks takes, the median of the run."""
        return self.costs.message

    def step_ns(
        self,
        length_ns: Lengths | None = None,
        late_ns: Lengths | None = None,
        message: MessageCost | None = None,
    ) -> Lengths:
        """Length of every step from first slot to last with what is given in place of its own."""
        lengths = self.length_ns if length_ns is None else length_ns
        late = self.late_ns if late_ns is None else late_ns
        steps = (
            walk(self.plan, row.tolist(), message or self.message, "eager")
            for row in np.maximum(lengths, 0) + np.maximum(late, 0)
        )
        return np.array([max(times.ends) for times in steps], np.int64)


def make_replay(run: Run, windows: Mapping[int, int]) -> Replay | str:
    """The replay of a run, whose used steps have these windows in ns; or why there is none."""
    if run.schedule is None:
        return "the schedule of the run is not known"
    plan = make_plan(run.schedule)
    spans = _spans(run, plan, windows)
    if isinstance(spans, str):
        return spans
    try:
        costs = costs_from_run(run)
    except DpprofError as error:
        return str(error)
    starts, ends, window_ns = spans
    around = window_ns - (ends.max(axis=1) - starts.min(axis=1))
    late = _late(plan, starts, ends, costs.message.duration_ns)
    pp_rank = np.repeat(np.arange(run.schedule.pp), np.diff(plan.offsets))
    operations = [slot_operation(slot) for slots in run.schedule.ranks for slot in slots]
    replay = Replay(
        run, plan, costs, ends - starts, late, window_ns, around, pp_rank, np.array(operations)
    )
    off = np.abs(replay.step_ns() + around - window_ns) / np.maximum(window_ns, 1)
    if off.max() > MOST_OFF:
        return (
            f"replaying the unchanged steps misses them by up to {off.max():.1%}: what is not in "
            "the slots decides the step"
        )
    return replay


def _spans(
    run: Run, plan: StepPlan, windows: Mapping[int, int]
) -> tuple[Lengths, Lengths, Lengths] | str:
    """(steps, slots) starts and ends over the ranks of a pipeline rank, and the steps' windows."""
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
    spans = ends.max(axis=1) - starts.min(axis=1)
    marked = [windows.get(int(step), 0) for step in steps]
    return starts, ends, np.maximum(spans, np.array(marked, np.int64))


def _late(plan: StepPlan, starts: Lengths, ends: Lengths, message_ns: int) -> Lengths:
    """How long after its rank was free, and its inputs there, a slot began; at least 0."""
    ready = np.full_like(starts, np.iinfo(np.int64).min)
    firsts = np.array(plan.offsets[:-1])
    follows = np.setdiff1d(np.arange(plan.offsets[-1]), firsts)
    ready[:, follows] = ends[:, follows - 1]
    ready[:, firsts] = starts.min(axis=1, keepdims=True)
    for message in plan.messages:
        arrival = ends[:, message.producer] + message_ns
        ready[:, message.consumer] = np.maximum(ready[:, message.consumer], arrival)
    late: Lengths = np.maximum(starts - ready, 0)
    return late
