"""The emulated device: real processes, messages and allocations; modelled time.

Every rank keeps a virtual clock. A slot starts at the later of the modelled end of the slot before
it and the modelled arrival of its messages; its components lie at the offsets that the simulator's
slot template gives; a message leaves at the modelled end of its slot and carries that time to the
receiver, which adds the message's cost. Threads sleep until these absolute deadlines, so the
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
from dpprof.schedules.actions import Action, Operation, Slot
from dpprof.schedules.components import Lane
from dpprof.schedules.schedule import DependencyRule, Schedule
from dpprof.simulate.timing import SlotTemplate, TemplateEvent, timing_from_profile
from reference_impl.executor import MessageSpec
from reference_impl.host import sleep_until
from reference_impl.mesh import Groups, Mesh

_START_MARGIN_NS = 20_000_000
"""From the agreement on a common start to the start: time for every rank to hear of it."""

_LARGEST_BLOCK = 2**30
"""Bytes of one allocation; Linux refuses a single block larger than its memory."""


@dataclass(frozen=True)
class EmulatedStep:
    """A component of a slot template, as the runtime wants it."""

    member: int
    part: str
    component: str
    layer: int
    lane: Lane
    after: tuple[int, ...]
    end_ns: int


def _steps(template: SlotTemplate) -> tuple[EmulatedStep, ...]:
    """Template events with what they wait for: the last event of the other lane that ended."""
    steps = []
    for event in template.events:
        ended = [
            (other.end_ns, index)
            for index, other in enumerate(template.events)
            if other.lane is not event.lane
            and other.end_ns <= event.start_ns
            and index < len(steps)
        ]
        after = (max(ended)[1],) if ended else ()
        steps.append(_step(event, after))
    return tuple(steps)


def _step(event: TemplateEvent, after: tuple[int, ...]) -> EmulatedStep:
    return EmulatedStep(
        event.member, event.part, event.component, event.layer, event.lane, after, event.end_ns
    )


class EmulatedExecutor:
    """Runs slots by sleeping through them; an `Executor`."""

    message = MessageSpec((1,), torch.int64)

    def __init__(
        self, costs: CostProfile, layers: int, schedule: Schedule, mesh: Mesh, groups: Groups
    ) -> None:
        self.layers = layers
        self.costs = costs
        self._ep = groups.ep
        self._rule = DependencyRule(schedule)
        self._pp_rank = mesh.pp_rank
        timing = timing_from_profile(costs, layers)
        self._programs = {
            operation: _steps(template) for (_, operation), template in timing.templates.items()
        }
        self._activations: dict[tuple[int, int], list[torch.Tensor]] = {}
        self._free_ns = 0
        self._slot: Slot = ()
        self._slot_start_ns = 0
        self._program: tuple[EmulatedStep, ...] = ()

    def program_of(self, operation: str) -> tuple[EmulatedStep, ...]:
        """The components of a slot of `operation` that take time."""
        return self._programs[operation]

    def begin_step(self, step: int) -> None:
        """Agree with all ranks on a common start on the machine's monotonic clock."""
        start = torch.tensor([time.monotonic_ns() + _START_MARGIN_NS])
        dist.all_reduce(start, dist.ReduceOp.MAX)
        self._free_ns = int(start.item())
        sleep_until(self._free_ns)

    def begin_slot(
        self,
        slot: Slot,
        program: tuple[EmulatedStep, ...],
        received: Mapping[Action, torch.Tensor],
    ) -> None:
        """Set the slot's start on the virtual clock; allocate what its forward keeps."""
        self._slot = slot
        self._program = program
        arrivals = [int(tensor[0]) for tensor in received.values()]
        self._slot_start_ns = max([self._free_ns, *arrivals])
        for action in slot:
            if action.operation is Operation.FORWARD:
                self._activations[_chunk(action)] = self._allocate()

    def communication_bytes(self, index: int) -> int:
        """Unknown: an emulated all-to-all has a duration and no size."""
        return -1

    def run(self, index: int) -> None:
        """Exchange what is to be exchanged, then sleep until the component's modelled end."""
        step = self._program[index]
        if step.lane is Lane.COMMUNICATION and self._ep is not None:
            sent = torch.full((dist.get_world_size(self._ep),), self._slot_start_ns)
            dist.all_to_all_single(torch.empty_like(sent), sent, group=self._ep)
        sleep_until(self._slot_start_ns + step.end_ns)

    def finish_slot(self) -> dict[Action, torch.Tensor]:
        """Advance the virtual clock; free activations; pass on the modelled end."""
        end_ns = self._slot_start_ns + self._length_ns()
        self._free_ns = end_ns
        outputs = {}
        for action in self._slot:
            if action.operation in (Operation.BACKWARD, Operation.WEIGHT_GRADIENT):
                del self._activations[_chunk(action)]
            if self._rule.downstream(self._pp_rank, action) is not None:
                outputs[action] = torch.tensor([end_ns])
        return outputs

    def end_step(self) -> float | None:
        """Nothing to reduce, nothing learned."""
        return None

    def _length_ns(self) -> int:
        return max((step.end_ns for step in self._program), default=0)

    def _allocate(self) -> list[torch.Tensor]:
        """One layer after the other, in blocks that the kernel will grant."""
        blocks = []
        for _ in range(self.layers):
            left = self.costs.memory.activation_bytes
            while left > 0:
                blocks.append(torch.empty(min(left, _LARGEST_BLOCK), dtype=torch.uint8))
                left -= _LARGEST_BLOCK
        return blocks


def _chunk(action: Action) -> tuple[int, int]:
    return action.direction, action.micro_batch


class EmulatedWire:
    """Real messages that carry modelled times; an edge passes one message after the other."""

    def __init__(self, executor: EmulatedExecutor) -> None:
        self._spec = executor.message
        self._cost_ns = executor.costs.message.duration_ns
        self._edge_free_ns: dict[tuple[int, int], int] = {}

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Send, and stay busy until the message's modelled arrival."""
        dist.send(tensor, edge[1], tag=1)
        sleep_until(self._arrival_ns(tensor, edge))

    def receive(self, edge: tuple[int, int]) -> torch.Tensor:
        """Receive; gives the modelled arrival, and gives it no earlier."""
        tensor = torch.empty(self._spec.shape, dtype=self._spec.dtype)
        dist.recv(tensor, edge[0], tag=1)
        arrival_ns = self._arrival_ns(tensor, edge)
        sleep_until(arrival_ns)
        return torch.tensor([arrival_ns])

    def _arrival_ns(self, tensor: torch.Tensor, edge: tuple[int, int]) -> int:
        start_ns = max(int(tensor[0]), self._edge_free_ns.get(edge, 0))
        self._edge_free_ns[edge] = start_ns + self._cost_ns
        return start_ns + self._cost_ns
