"""Walks all ranks through their slots at once: the times of every slot and message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from dpprof.costs.profile import MessageCost
from dpprof.errors import DpprofError
from dpprof.simulate.plan import StepPlan

Communication = Literal["eager", "batched"]
COMMUNICATIONS: tuple[str, ...] = get_args(Communication)
"""The ways in which ranks may exchange messages, see `dpprof.simulate.engine`."""


@dataclass(frozen=True)
class Times:
    """Nanoseconds by slot number and by message number, filled in by the walk as it goes."""

    starts: list[int]
    ends: list[int]
    sent: list[int]
    arrived: list[int]


Edge = tuple[int, int]
"""The pipeline rank that sends, and the one that receives."""


def walk(
    plan: StepPlan,
    lengths_ns: Sequence[int],
    message: MessageCost,
    communication: Communication,
    edges: Mapping[Edge, MessageCost] = MappingProxyType({}),
) -> Times:
    """Times of all slots and messages; raises `DpprofError` where the ranks wait in a circle.

    A message takes what `edges` says of its edge, or else `message`.

    Every rank runs as far as it can and wakes the ranks that its messages reach, so each slot and
    message is looked at once. The order of waking does not matter: what a slot waits for, and the
    order of the messages on an edge, are given by the schedule.
    """
    slots, ranks = plan.offsets[-1], plan.schedule.pp
    times = Times([0] * slots, [0] * slots, [0] * len(plan.messages), [0] * len(plan.messages))
    missing = [len(needed) for needed in plan.receives]
    ready = [0] * slots
    position, free = list(plan.offsets[:-1]), [0] * ranks
    usual = message.transfer_ns, message.duration_ns
    known = {edge: (cost.transfer_ns, cost.duration_ns) for edge, cost in edges.items()}
    edge_free: dict[Edge, int] = {}
    awake = list(range(ranks))
    while awake:
        rank = awake.pop()
        slot, released = position[rank], free[rank]
        while slot < plan.offsets[rank + 1] and missing[slot] == 0:
            times.starts[slot] = start = max(released, ready[slot])
            times.ends[slot] = released = end = start + lengths_ns[slot]
            for number in plan.sends[slot]:
                _, _, consumer, source, target = plan.messages[number]
                transfer_ns, duration_ns = known.get((source, target), usual)
                times.sent[number] = sent = max(end, edge_free.get((source, target), 0))
                edge_free[source, target] = sent + transfer_ns
                times.arrived[number] = arrival = sent + duration_ns
                ready[consumer] = max(ready[consumer], arrival)
                missing[consumer] -= 1
                if consumer == position[target]:
                    awake.append(target)
                if communication == "batched":
                    released = max(released, arrival)
            slot += 1
        position[rank], free[rank] = slot, released
    waiting = {rank: slot for rank, slot in enumerate(position) if slot < plan.offsets[rank + 1]}
    if waiting:
        raise _deadlock(plan, waiting)
    return times


def _deadlock(plan: StepPlan, waiting: Mapping[int, int]) -> DpprofError:
    rank, slot = next(iter(waiting.items()))
    return DpprofError(
        f"schedule {plan.schedule.name} deadlocks: {plan.text(rank, slot)} of pipeline rank {rank} "
        f"never starts, {len(waiting)} of {plan.schedule.pp} ranks wait for each other; correct "
        "the order of the slots"
    )
