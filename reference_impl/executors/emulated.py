"""The emulated device: real processes, messages and allocations; modelled time.

Every rank keeps a virtual clock. A slot starts at the later of the modelled end of the slot before
it and the modelled arrival of its messages; its components lie at the offsets that the simulator's
slot template gives; a message carries the modelled end of its slot to the receiver, which adds
the message's cost. Threads sleep until these absolute deadlines, so the
overheads of a real host (waking, labelling, message passing) do not add up over a step: they
show only where they exceed a component. All ranks must be on one machine, whose monotonic clock
they share. The idle time that comes out is therefore modelled too, and everything is labelled so.

Activations are real allocations that are never touched: they cost address space, not memory,
and the profiler sees them come and go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist

from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import chunk_memory, stage_chunks
from dpprof.reference.executors.emulated_messages import Deadline, EmulatedWire
from dpprof.reference.runtime.channels import Channels, in_order_of_production
from dpprof.reference.runtime.executor import MessageSpec
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.reference.runtime.operating_system import sleep_until
from dpprof.schedules.actions import Action, Operation, Slot, slot_operation
from dpprof.schedules.components import Lane
from dpprof.schedules.schedule import DependencyRule, Schedule
from dpprof.simulate.stage_timing import rank_templates
from dpprof.simulate.timing import SlotTemplate

_START_MARGIN_NS = 50_000_000
"""From the agreement on a common start to the start: time to hear of it and to post receives."""

_FREEING_NS = 300_000
"""Before the end of a slot's last component: time to free what the slot held."""

_LARGEST_BLOCK = 2**30
"""Bytes of one allocation; Linux refuses a single block larger than its memory."""


@dataclass(frozen=True)
class EmulatedStep:
    """A component of a slot template, as the runtime wants it.

    It comes after nothing: its start is a deadline too, so no thread need wake another, and
    the time that takes does not show as idle.
    """

    member: int
    part: str
    component: str
    layer: int
    lane: Lane
    start_ns: int
    end_ns: int
    after: tuple[int, ...] = ()


def _steps(template: SlotTemplate) -> tuple[EmulatedStep, ...]:
    """A template's events, communication first: computing blocks the thread that submits."""
    events = sorted(template.events, key=lambda event: event.lane is Lane.COMPUTE)
    return tuple(
        EmulatedStep(
            event.member,
            event.part,
            event.component,
            event.layer,
            event.lane,
            event.start_ns,
            event.end_ns,
        )
        for event in events
    )


class EmulatedExecutor:
    """Runs slots by sleeping through them; an `Executor`.

    It sends by itself through `channels`, which is set once they exist.
    """

    message = MessageSpec((1,), torch.int64)
    lookahead = 10**6
    """Every receive of a step is posted at its start: emulated messages take no room."""

    def __init__(
        self, costs: CostProfile, layers: int | None, schedule: Schedule, mesh: Mesh, groups: Groups
    ) -> None:
        chunks = stage_chunks(costs, schedule.placement.stage_count, layers)
        own_chunks = [chunks[stage] for stage in schedule.placement.stages[mesh.pp_rank]]
        self.layers = max(map(len, own_chunks))
        self._layer_bytes = [
            [chunk_memory(costs, (layer,)).activation_bytes for layer in chunk]
            for chunk in own_chunks
        ]
        self._ep = groups.ep
        rule, own = DependencyRule(schedule), mesh.pp_rank
        consumers = {action: rule.downstream(own, action) for action in schedule.actions(own)}
        self._handed_over = {
            action for action, consumer in consumers.items() if consumer and consumer.pp_rank == own
        }
        self._edges = {
            action: (mesh.rank, mesh.rank_of(consumer.pp_rank))
            for action, consumer in consumers.items()
            if consumer is not None and consumer.pp_rank != own
        }
        self.wire = EmulatedWire(costs.message)
        self.channels: Channels
        self._nothing = torch.zeros(self.message.shape, dtype=self.message.dtype)
        templates = rank_templates(schedule, mesh.pp_rank, costs, layers)
        self._programs = {kind: _steps(template) for kind, template in templates.items()}
        self._activations: dict[tuple[int, int], list[torch.Tensor]] = {}
        self._free_ns = 0
        self._slot: Slot = ()
        self._slot_start_ns = 0
        self._begun = False
        self._program: tuple[EmulatedStep, ...] = ()

    @property
    def clock_ns(self) -> int:
        """The virtual clock: the modelled end of the latest slot, on the monotonic clock."""
        return self._free_ns

    @property
    def held_bytes(self) -> int:
        """Bytes of the activations that are in flight."""
        return sum(block.nbytes for blocks in self._activations.values() for block in blocks)

    def program_of(self, slot: Slot) -> tuple[EmulatedStep, ...]:
        """The components of a slot that take time."""
        return self._programs[slot_operation(slot), tuple(action.direction for action in slot)]

    def begin_step(self, step: int) -> None:
        """Agree with all ranks on a common start on the machine's monotonic clock."""
        start = torch.tensor([time.monotonic_ns() + _START_MARGIN_NS])
        dist.all_reduce(start, dist.ReduceOp.MAX)
        self._free_ns = int(start.item())
        self.wire.begin_step(self._free_ns)

    def begin_slot(
        self,
        slot: Slot,
        program: tuple[EmulatedStep, ...],
        received: Mapping[Action, torch.Tensor],
    ) -> None:
        """Set the slot on the virtual clock, and sleep until its start."""
        self._slot = slot
        self._program = program
        self._begun = False
        arrivals = [int(tensor[0]) for tensor in received.values()]
        self._slot_start_ns = max([self._free_ns, *arrivals])
        self._free_ns = self._slot_start_ns + max((step.end_ns for step in program), default=0)
        sleep_until(self._slot_start_ns)

    def gate(self, index: int) -> tuple[Deadline]:
        """The component's modelled start."""
        return (Deadline(self._slot_start_ns + self._program[index].start_ns),)

    def communication_bytes(self, index: int) -> int:
        """Unknown: an emulated all-to-all has a duration and no size."""
        return -1

    def run(self, index: int) -> None:
        """Exchange what is to be exchanged, then sleep until the component's modelled end.

        What the slot itself costs this machine (messages, allocating, freeing) happens within its
        first and last computing component, so that it does not show as idle between slots.
        """
        step = self._program[index]
        end_ns = self._slot_start_ns + step.end_ns
        if step.lane is Lane.COMMUNICATION:
            self._exchange()
        elif not self._begun:
            self._begun = True
            self._announce()
            self._allocate()
        if index == len(self._program) - 1 and step.lane is Lane.COMPUTE:
            sleep_until(end_ns - _FREEING_NS)
            self._free()
        sleep_until(end_ns)

    def makes_the_host_wait(self, index: int) -> bool:
        """Never: nothing is on a device."""
        return False

    def passed_on(self, index: int) -> dict[Action, torch.Tensor]:
        """Nothing yet: results exist from the modelled end of the slot on."""
        return {}

    def finish_slot(self) -> dict[Action, torch.Tensor]:
        """What stays on this rank; messages to others were sent when the slot began."""
        outputs = [action for action in self._slot if action in self._handed_over]
        return dict.fromkeys(outputs, torch.tensor([self._free_ns])) if outputs else {}

    def expert_load(self) -> dict[int, list[int]]:
        """Nothing: no token is routed."""
        return {}

    def end_step(self) -> float | None:
        """Nothing to reduce, nothing learned."""
        return None

    def _exchange(self) -> None:
        if self._ep is not None:
            sent = torch.full((dist.get_world_size(self._ep),), self._slot_start_ns)
            dist.all_to_all_single(torch.empty_like(sent), sent, group=self._ep)

    def _announce(self) -> None:
        for action in in_order_of_production((self._slot,)):
            if action in self._edges:
                self.wire.announce(self._edges[action], self._free_ns)
                self.channels.send(action, self._nothing, (Deadline(self._free_ns),))

    def _allocate(self) -> None:
        """Activations one layer after the other, in blocks that the kernel will grant."""
        for action in self._slot:
            if action.operation is Operation.FORWARD:
                self._activations[_chunk(action)] = [
                    torch.empty(size, dtype=torch.uint8)
                    for layer in self._layer_bytes[action.direction]
                    for size in _blocks(layer)
                ]

    def _free(self) -> None:
        for action in self._slot:
            if action.operation in (Operation.BACKWARD, Operation.WEIGHT_GRADIENT):
                del self._activations[_chunk(action)]


def _blocks(size: int) -> list[int]:
    return [min(size - start, _LARGEST_BLOCK) for start in range(0, size, _LARGEST_BLOCK)]


def _chunk(action: Action) -> tuple[int, int]:
    return action.direction, action.micro_batch
