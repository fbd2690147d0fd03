"""Channels: pipeline messages along the directed edges of a schedule, in the sender's order.

Messages of an edge travel first in, first out; the receiver posts its receives in the order in
which the sender's list produces them, which both sides know from the schedule. So no tags or
negotiation are needed (NCCL has neither), and nothing can deadlock: sends and receives run on
lanes of their own, and a receive is always posted up to the one that is waited for.

A receive is posted as the slot before the one that needs it begins: early enough to arrive under
compute, and no earlier, because a receive of NCCL's holds multiprocessors while it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import torch
import torch.distributed as dist

from dpprof.instrument.labels import span
from dpprof.reference.model.streams import keep_for_current_stream
from dpprof.reference.runtime.executor import MessageSpec
from dpprof.reference.runtime.lanes import Completion, ExecutionLane, Label, MakeLane
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.schedules.actions import Action, Slot
from dpprof.schedules.schedule import DependencyRule, Schedule
from dpprof.tables.labels import Label as LabelText

LOOKAHEAD = 0
"""Receives of each edge that are posted at the start of a step, whoever needs them when."""


class Wire(Protocol):
    """Moves tensors between ranks, along edges of global ranks; each edge has its lanes."""

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Send along `edge`; called on the lane."""

    def receive(
        self,
        edge: tuple[int, int],
        lane: ExecutionLane,
        label: Label,
        after: Sequence[Completion] = (),
    ) -> Completion:
        """Post the receive of the next tensor of `edge`, to begin behind what is in `after`.

        Waiting for it gives the tensor.
        """


class ProcessGroupWire:
    """Messages through torch.distributed: NCCL on a GPU, gloo on a CPU."""

    def __init__(self, spec: MessageSpec, device: torch.device, groups: Groups) -> None:
        self._spec = spec
        self._device = device
        self._edges = groups.edges

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Send; on a GPU this only enqueues."""
        keep_for_current_stream(tensor)  # memory of the compute stream, read by this lane's
        dist.send(tensor, edge[1], group=self._edges.get(edge))

    def receive(
        self,
        edge: tuple[int, int],
        lane: ExecutionLane,
        label: Label,
        after: Sequence[Completion] = (),
    ) -> Completion:
        """Receive into a new tensor."""
        return lane.submit(label, partial(self._receive, edge), after)

    def _receive(self, edge: tuple[int, int]) -> torch.Tensor:
        tensor = torch.empty(self._spec.shape, dtype=self._spec.dtype, device=self._device)
        dist.recv(tensor, edge[0], group=self._edges.get(edge))
        return tensor


@dataclass(frozen=True)
class StageMessage:
    """A pipeline message, named by the action and stage that produce it."""

    producer: Action
    consumer: Action
    stage: int


def in_order_of_production(slots: Iterable[Slot]) -> Iterator[Action]:
    """The actions of slots as their results appear: of a pair, the input gradient comes first.

    Sender and receiver both number the messages of an edge like this (`components._pair`).
    """
    for slot in slots:
        yield from reversed(slot)


def outgoing(schedule: Schedule, pp_rank: int) -> dict[int, list[StageMessage]]:
    """Messages that `pp_rank` sends, by receiving pipeline rank, in the order of production."""
    rule = DependencyRule(schedule)
    messages: dict[int, list[StageMessage]] = {}
    for action in in_order_of_production(schedule.ranks[pp_rank]):
        consumer = rule.downstream(pp_rank, action)
        if consumer is not None and consumer.pp_rank != pp_rank:
            stage = schedule.stage(pp_rank, action.direction)
            messages.setdefault(consumer.pp_rank, []).append(
                StageMessage(action, consumer.action, stage)
            )
    return messages


class Channels:
    """This rank's edges. Has state because messages are under way while the rank computes."""

    def __init__(
        self,
        schedule: Schedule,
        mesh: Mesh,
        wire: Wire,
        make_lane: MakeLane,
        lookahead: int = LOOKAHEAD,
    ) -> None:
        self._lookahead = lookahead
        self._mesh = mesh
        self._wire = wire
        self._outgoing = outgoing(schedule, mesh.pp_rank)
        self._consumer_edge: dict[Action, int] = {}
        self._incoming: dict[int, list[StageMessage]] = {}
        for source in range(schedule.pp):
            for target, messages in outgoing(schedule, source).items():
                if target == mesh.pp_rank:
                    self._incoming[source] = messages
                    self._consumer_edge |= {message.consumer: source for message in messages}
        self._target_of = {
            message.producer: (target, number, message)
            for target, messages in self._outgoing.items()
            for number, message in enumerate(messages)
        }
        self._send_lanes = {target: make_lane(f"send >{target}") for target in self._outgoing}
        self._receive_lanes = {source: make_lane(f"recv <{source}") for source in self._incoming}
        self._posted: dict[int, int] = {}
        self._arrivals: dict[Action, Completion] = {}
        self._sent: list[Completion] = []

    def begin_step(self) -> None:
        """Start with nothing sent and nothing received."""
        self._posted = dict.fromkeys(self._incoming, 0)
        for source in self._incoming:
            self._post(source, self._lookahead)

    def prepare(self, slot: Iterable[Action], after: Sequence[Completion] = ()) -> None:
        """Post what `slot` takes from other ranks, to begin behind what is in `after`."""
        for action in slot:
            if action in self._consumer_edge:
                self._post_up_to(action, after)

    def expects(self, consumer: Action) -> bool:
        """Whether `consumer` takes its input from another rank."""
        return consumer in self._consumer_edge

    def receive(self, consumer: Action) -> torch.Tensor:
        """The input of `consumer`; the compute lane waits for it."""
        self._post_up_to(consumer, ())
        tensor: torch.Tensor = self._arrivals.pop(consumer).wait()
        return tensor

    def sends(self, producer: Action) -> bool:
        """Whether the result of `producer` goes to another rank."""
        return producer in self._target_of

    def send(self, producer: Action, tensor: torch.Tensor, ready: Sequence[Completion]) -> None:
        """Send the result of `producer` once all of `ready` has passed; does not block."""
        target, number, message = self._target_of[producer]
        edge = (self._mesh.rank, self._mesh.rank_of(target))
        lane = self._send_lanes[target]
        text = _label_text(message, number, edge, "send", tensor.nbytes)
        work = partial(self._wire.send, tensor, edge)
        self._sent.append(lane.submit(partial(span, text), work, ready))

    def end_step(self) -> None:
        """Wait until everything sent has left."""
        for completion in self._sent:
            completion.wait()
        self._sent.clear()

    def close(self) -> None:
        """End the lanes."""
        for lane in (*self._send_lanes.values(), *self._receive_lanes.values()):
            lane.close()

    def _post_up_to(self, consumer: Action, after: Sequence[Completion]) -> None:
        source = self._consumer_edge[consumer]
        while consumer not in self._arrivals:
            self._post(source, 1, after)

    def _post(self, source: int, count: int, after: Sequence[Completion] = ()) -> None:
        messages = self._incoming[source]
        first = self._posted[source]
        edge = (self._mesh.rank_of(source), self._mesh.rank)
        for number in range(first, min(first + count, len(messages))):
            text = _label_text(messages[number], number, edge, "recv", -1)
            lane = self._receive_lanes[source]
            arrival = self._wire.receive(edge, lane, partial(span, text), after)
            self._arrivals[messages[number].consumer] = arrival
            self._posted[source] = number + 1


@lru_cache(maxsize=2**14)
def _label_text(
    message: StageMessage, number: int, edge: tuple[int, int], way: str, size: int
) -> str:
    """A message's label; kept, because every training step has the same ones."""
    return str(
        LabelText(
            kind="p2p",
            action=str(message.producer),
            part="F" if message.producer.operation.value == "F" else "I",
            stage=message.stage,
            way=way,
            group=f"{edge[0]}>{edge[1]}",
            peer=edge[1] if way == "send" else edge[0],
            bytes=size,
            sequence=number,
        )
    )
