"""Walks all pipeline ranks of a schedule in one process, one slot after the other.

No lanes, no messages, no timing: the quickest way to see whether a schedule trains the model that
it should. Expert-parallel ranks, where there are several, are processes that walk in step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dpprof.reference.runtime.executor import Executor
from dpprof.schedules.actions import Action, Slot
from dpprof.schedules.components import slot_program
from dpprof.schedules.schedule import Dependency, DependencyRule, Schedule


def walk_step(schedule: Schedule, executors: Sequence[Executor], step: int = 0) -> None:
    """Run the slots of one step, `executors` being those of the pipeline ranks, in their order.

    Ranks take turns, each going as far as the others' results let it. Raises RuntimeError where
    nobody can go on. Leaves reductions and updates to the caller.
    """
    rule = DependencyRule(schedule)
    results: dict[Dependency, torch.Tensor] = {}
    position = [0] * schedule.pp
    for executor in executors:
        executor.begin_step(step)
    while any(position[rank] < len(slots) for rank, slots in enumerate(schedule.ranks)):
        before = list(position)
        for rank, slots in enumerate(schedule.ranks):
            while position[rank] < len(slots):
                slot = slots[position[rank]]
                sources = {action: rule.upstream(rank, action) for action in slot}
                needed = {action: source for action, source in sources.items() if source}
                if not results.keys() >= set(needed.values()):
                    break
                received = {action: results.pop(source) for action, source in needed.items()}
                for action, tensor in run_slot(executors[rank], slot, received).items():
                    results[Dependency(rank, action)] = tensor
                position[rank] += 1
        if position == before:
            raise RuntimeError(f"the schedule stands still at slots {position}")


def run_slot(
    executor: Executor, slot: Slot, received: dict[Action, torch.Tensor]
) -> dict[Action, torch.Tensor]:
    """Run the components of one slot in the order of its program."""
    program = slot_program(slot, executor.layers)
    executor.begin_slot(slot, program, received)
    outputs: dict[Action, torch.Tensor] = {}
    for index in range(len(program)):
        executor.run(index)
        outputs |= executor.passed_on(index)
    return outputs | executor.finish_slot()
