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

import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist

from dpprof.costs.profile import CostProfile
from dpprof.schedules.actions import Action, Operation, Slot
from dpprof.schedules.components import Lane as LaneName
from dpprof.schedules.schedule import DependencyRule, Schedule
from dpprof.simulate.timing import SlotTemplate, timing_from_profile
from reference_impl.channels import Channels
from reference_impl.executor import MessageSpec
from reference_impl.host import sleep_until
from reference_impl.lanes import Label, Lane
from reference_impl.mesh import Groups, Mesh

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
    lane: LaneName
    start_ns: int
    end_ns: int
    after: tuple[int, ...] = ()


def _steps(template: SlotTemplate) -> tuple[EmulatedStep, ...]:
    """A template's events, communication first: computing blocks the thread that submits."""
    events = sorted(template.events, key=lambda event: event.lane is LaneName.COMPUTE)
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


@dataclass(frozen=True)
class Deadline:
    """A completion that lies at a known time."""

    at_ns: int

    def wait(self) -> None:
        """Sleep until then."""
        sleep_until(self.at_ns)


class Edge:
    """A directed edge of the pipeline: busy with one message after the other."""

    def __init__(self, cost_ns: int) -> None:
        self._cost_ns = cost_ns
        self._free_ns = 0

    def arrival_ns(self, ready_ns: int) -> int:
        """When the next message, ready at `ready_ns`, has passed."""
        self._free_ns = max(ready_ns, self._free_ns) + self._cost_ns
        return self._free_ns


class PostedReceive:
    """A message that tells its own modelled arrival; known to whoever asks first, in order."""

    def __init__(self, edge: Edge, source: int, before: PostedReceive | None) -> None:
        self._tensor = torch.empty(1, dtype=torch.int64)
        self._work = dist.irecv(self._tensor, source, tag=1)
        self._edge = edge
        self._before = before
        self._lock = threading.Lock()
        self._known = False

    def wait(self) -> torch.Tensor:
        """The modelled arrival, as soon as the message that tells it has come."""
        with self._lock:
            if not self._known:
                if self._before is not None:
                    self._before.wait()
                self._work.wait()
                self._tensor[0] = self._edge.arrival_ns(int(self._tensor[0]))
                self._before, self._known = None, True
        return self._tensor

    def arrive(self) -> None:
        """Sleep until the modelled arrival."""
        sleep_until(int(self.wait()[0]))


class EmulatedWire:
    """Real messages that carry modelled times.

    A slot's modelled end is known when the slot starts, and the message that tells it leaves
    then, so that it has long been received when its modelled arrival comes: what a real message
    takes through this machine's sockets does not show. Has state because edges are busy.
    """

    def __init__(self, cost_ns: int) -> None:
        self._edges: defaultdict[tuple[int, int], Edge] = defaultdict(lambda: Edge(cost_ns))
        self._departing: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
        self._last: dict[tuple[int, int], PostedReceive] = {}
        self._under_way: list[dist.Work] = []
        self._start = Deadline(0)

    def begin_step(self, start_ns: int) -> None:
        """Forget the messages of the step before; those of the next exist from its start on."""
        self._start = Deadline(start_ns)
        for work in self._under_way:
            work.wait()
        self._under_way.clear()

    def announce(self, edge: tuple[int, int], ready_ns: int) -> None:
        """Tell the receiver of `edge` that its next message is ready at `ready_ns`."""
        self._under_way.append(dist.isend(torch.tensor([ready_ns]), edge[1], tag=1))
        self._departing[edge].append(self._edges[edge].arrival_ns(ready_ns))

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Stay busy until the message's modelled arrival; `announce` has sent it already."""
        sleep_until(self._departing[edge].popleft())

    def receive(self, edge: tuple[int, int], lane: Lane, label: Label) -> PostedReceive:
        """Post a receive; it lasts on its lane until its modelled arrival."""
        posted = PostedReceive(self._edges[edge], edge[0], self._last.get(edge))
        self._last[edge] = posted
        lane.submit(label, posted.arrive, (self._start,))
        return posted


class EmulatedExecutor:
    """Runs slots by sleeping through them; an `Executor`.

    It sends by itself through `channels`, which is set once they exist.
    """

    message = MessageSpec((1,), torch.int64)
    lookahead = 10**6
    """Every receive of a step is posted at its start: emulated messages take no room."""

    def __init__(
        self, costs: CostProfile, layers: int, schedule: Schedule, mesh: Mesh, groups: Groups
    ) -> None:
        self.layers = layers
        self.costs = costs
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
        self.wire = EmulatedWire(costs.message.duration_ns)
        self.channels: Channels
        self._nothing = torch.zeros(self.message.shape, dtype=self.message.dtype)
        timing = timing_from_profile(costs, layers)
        self._programs = {
            operation: _steps(template) for (_, operation), template in timing.templates.items()
        }
        self._activations: dict[tuple[int, int], list[torch.Tensor]] = {}
        self._free_ns = 0
        self._slot: Slot = ()
        self._slot_start_ns = 0
        self._begun = False
        self._program: tuple[EmulatedStep, ...] = ()

    def program_of(self, operation: str) -> tuple[EmulatedStep, ...]:
        """The components of a slot of `operation` that take time."""
        return self._programs[operation]

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
        if step.lane is LaneName.COMMUNICATION:
            self._exchange()
        elif not self._begun:
            self._begun = True
            self._announce()
            self._allocate()
        if index == len(self._program) - 1 and step.lane is LaneName.COMPUTE:
            sleep_until(end_ns - _FREEING_NS)
            self._free()
        sleep_until(end_ns)

    def finish_slot(self) -> dict[Action, torch.Tensor]:
        """What stays on this rank; messages to others were sent when the slot began."""
        outputs = [action for action in self._slot if action in self._handed_over]
        return dict.fromkeys(outputs, torch.tensor([self._free_ns])) if outputs else {}

    def end_step(self) -> float | None:
        """Nothing to reduce, nothing learned."""
        return None

    def _exchange(self) -> None:
        if self._ep is not None:
            sent = torch.full((dist.get_world_size(self._ep),), self._slot_start_ns)
            dist.all_to_all_single(torch.empty_like(sent), sent, group=self._ep)

    def _announce(self) -> None:
        for action in self._slot:
            if action in self._edges:
                self.wire.announce(self._edges[action], self._free_ns)
                self.channels.send(action, self._nothing, Deadline(self._free_ns))

    def _allocate(self) -> None:
        """Activations one layer after the other, in blocks that the kernel will grant."""
        for action in self._slot:
            if action.operation is Operation.FORWARD:
                self._activations[_chunk(action)] = [
                    torch.empty(size, dtype=torch.uint8)
                    for _ in range(self.layers)
                    for size in _blocks(self.costs.memory.activation_bytes)
                ]

    def _free(self) -> None:
        for action in self._slot:
            if action.operation in (Operation.BACKWARD, Operation.WEIGHT_GRADIENT):
                del self._activations[_chunk(action)]


def _blocks(size: int) -> list[int]:
    return [min(size - start, _LARGEST_BLOCK) for start in range(0, size, _LARGEST_BLOCK)]


def _chunk(action: Action) -> tuple[int, int]:
    return action.direction, action.micro_batch
