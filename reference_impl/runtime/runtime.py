"""The runtime: walks a rank's list of slots, whatever the schedule and whatever runs the slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache, partial

import torch

from dpprof.instrument.labels import span
from dpprof.reference.runtime.channels import Channels
from dpprof.reference.runtime.executor import Executor
from dpprof.reference.runtime.issue_order import issue_order
from dpprof.reference.runtime.lanes import COMPUTE, Completion, MakeLane
from dpprof.reference.runtime.mesh import Mesh
from dpprof.schedules.actions import Action, Slot, slot_text
from dpprof.schedules.components import ComponentStep, Lane, Program
from dpprof.schedules.schedule import DependencyRule, Schedule
from dpprof.tables.labels import SLOT_LABEL, Label


class Runtime:
    """Runs training steps of one rank. Has state because lanes and channels outlive a step."""

    def __init__(
        self,
        schedule: Schedule,
        mesh: Mesh,
        executor: Executor,
        channels: Channels,
        make_lane: MakeLane,
        program_of: Callable[[Slot], Program],
    ) -> None:
        self._schedule = schedule
        self._mesh = mesh
        self._executor = executor
        self._channels = channels
        self._program_of = program_of
        rule, own = DependencyRule(schedule), mesh.pp_rank
        actions = list(schedule.actions(own))
        self._needs_input = {action for action in actions if rule.upstream(own, action)}
        self._consumers = {action: rule.downstream(own, action) for action in actions}
        self._slot_labels = {
            slot: str(Label(kind=SLOT_LABEL, slot=slot_text(slot))) for slot in schedule.ranks[own]
        }
        self._lanes = {
            Lane.COMPUTE: make_lane(COMPUTE),
            Lane.COMMUNICATION: make_lane("communication"),
        }
        self._handed_over: dict[Action, torch.Tensor] = {}
        self._exchanges = 0

    def run_step(self, step: int) -> float | None:
        """Run one training step; gives its loss on ranks that hold the last stage."""
        self._exchanges = 0
        self._executor.begin_step(step)
        self._channels.begin_step()
        slots = self._schedule.ranks[self._mesh.pp_rank]
        self._channels.prepare(slots[0])
        for slot, following in zip(slots, (*slots[1:], ()), strict=True):
            self.run_slot(slot, following)
        self._channels.end_step()
        return self._executor.end_step()

    def close(self) -> None:
        """End the lanes."""
        self._channels.close()
        for lane in self._lanes.values():
            lane.close()

    def run_slot(self, slot: Slot, following: Slot) -> None:
        """Run one slot; what `following` needs from others may arrive under it."""
        received = {action: self._input(action) for action in slot if action in self._needs_input}
        begun = self._lanes[Lane.COMPUTE].submit(nullcontext, _nothing)
        self._channels.prepare(following, (begun,))
        program = self._program_of(slot)
        self._executor.begin_slot(slot, program, received)
        received.clear()
        with span(self._slot_labels[slot]):
            self._run_program(slot, program)
            outputs = self._executor.finish_slot()
        for action, tensor in outputs.items():
            self._pass_on(action, tensor, ())

    def _run_program(self, slot: Slot, program: Program) -> None:
        completions: dict[int, Completion] = {}
        for index in self._issue_order(program):
            step = program[index]
            after = [completions[position] for position in step.after]
            after += self._executor.gate(index)
            text = self._step_label(slot, step, index)
            work = partial(self._executor.run, index)
            done = self._lanes[step.lane].submit(partial(span, text), work, after)
            completions[index] = done
            for action, tensor in self._executor.passed_on(index).items():
                self._pass_on(action, tensor, (done,))
        for completion in completions.values():
            completion.wait()

    def _issue_order(self, program: Program) -> Sequence[int]:
        waits = tuple(i for i in range(len(program)) if self._executor.makes_the_host_wait(i))
        return issue_order(program, waits) if waits else range(len(program))

    def _input(self, action: Action) -> torch.Tensor:
        if self._channels.expects(action):
            return self._channels.receive(action)
        return self._handed_over.pop(action)

    def _pass_on(self, action: Action, tensor: torch.Tensor, ready: Sequence[Completion]) -> None:
        if self._channels.sends(action):
            self._channels.send(action, tensor, ready)
            return
        consumer = self._consumers[action]
        if consumer is None:
            raise RuntimeError(f"{action} gave an output that no stage takes")
        self._handed_over[consumer.action] = tensor

    def _step_label(self, slot: Slot, step: ComponentStep, index: int) -> str:
        if step.lane is not Lane.COMMUNICATION:
            return _label_text(slot, step, self._stage_of(slot, step), "", -1, -1)
        size = self._executor.communication_bytes(index)
        group, number = self._mesh.expert_group, self._exchanges
        self._exchanges += 1
        return _label_text(slot, step, self._stage_of(slot, step), group, size, number)

    def _stage_of(self, slot: Slot, step: ComponentStep) -> int:
        if step.member < 0:
            return -1  # an overlapped pair as a whole
        return self._schedule.stage(self._mesh.pp_rank, slot[step.member].direction)


def _nothing() -> None:
    """A point on a lane."""


@lru_cache(maxsize=2**16)
def _label_text(
    slot: Slot, step: ComponentStep, stage: int, group: str, size: int, number: int
) -> str:
    """A component's label; kept, because every training step has the same ones."""
    return str(
        Label(
            kind=str(step.component) if step.lane is Lane.COMMUNICATION else "compute",
            slot=slot_text(slot),
            action=str(slot[step.member]) if step.member >= 0 else "",
            part=str(step.part),
            component=str(step.component),
            layer=step.layer,
            stage=stage,
            group=group,
            bytes=size,
            sequence=number,
        )
    )
