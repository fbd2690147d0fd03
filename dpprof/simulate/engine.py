"""The slot engine: when every slot starts and ends, and when every message travels.

A slot starts when its rank has ended the slot before and every message that it needs has
arrived; it publishes all its results when it ends, the forward's result of an overlapped pair
too. A result handed to a slot of the same rank takes no time. Each directed edge between two
pipeline ranks carries one message at a time, in sending order.

With ``eager`` communication a rank goes on computing while its messages travel. With ``batched``
communication, as in DeepSeek's DualPipe, a rank makes one commit before each slot, of the sends
of the slot before and the receives of this one, and waits for the whole commit: its messages are
never hidden. Receives are taken as posted ahead, so that a sender never waits for its receiver.
Where messages take no time, both give the same step.

Closed forms of the bubble, ``makespan - sum of slot lengths`` of a rank, with messages that take
no time:

* 1F1B ``(PP-1)(F+B)``: exact on every rank.
* ZB1P ``(PP-1)·max(F+I-W, F, I)``: exact on every rank. The authors' ``(PP-1)(F+B-2W)`` is the
  same only where ``W <= min(F, I)``, and too small elsewhere.
* DualPipe, DualPipeV ``(PP/2-1)(F&B+B-3W)``: exact on the two middle ranks (and their
  neighbours) where ``I = F`` and ``W <= F``. Where ``F&B < F+B``, ranks further out idle less,
  because they run fewer overlapped pairs: by ``(PP/2-2-h)(F+B-F&B)`` at distance `h` from the
  end, for ``I <= F`` with ``(PP/2-1)(F&B+F-W-min(W,I))`` in the middle. For ``I > F`` no form
  is known. The step is the truth, the form is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Action, slot_kind
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.plan import StepPlan, make_plan
from dpprof.simulate.timing import Timing
from dpprof.simulate.walk import COMMUNICATIONS, Communication, Times, walk

Nanoseconds = npt.NDArray[np.int64]

_LONGEST_NS = 2**62


@dataclass(frozen=True)
class Messages:
    """One entry per message between ranks, ordered by sender and sending order.

    `producer_slot` and `consumer_slot` are positions in the lists of the `source` and the
    `target` pipeline rank; `member` is the position of the producing action within its slot. A
    message is ready when its producer ends, and travels from `start_ns` to `arrival_ns`.
    """

    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    producer_slot: npt.NDArray[np.int64]
    member: npt.NDArray[np.int64]
    consumer_slot: npt.NDArray[np.int64]
    ready_ns: Nanoseconds
    start_ns: Nanoseconds
    arrival_ns: Nanoseconds

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class SimulatedStep:
    """One training step in simulated time, from 0.

    ``starts_ns[pp_rank][i]`` and ``ends_ns[pp_rank][i]`` belong to slot ``i`` of that rank's list
    in `schedule`.
    """

    schedule: Schedule
    timing: Timing
    communication: Communication
    starts_ns: tuple[Nanoseconds, ...]
    ends_ns: tuple[Nanoseconds, ...]
    messages: Messages

    @cached_property
    def makespan_ns(self) -> int:
        """Length of the step: the last end of any slot or message."""
        ends = [*self.ends_ns, self.messages.arrival_ns]
        return max((int(end.max()) for end in ends if len(end)), default=0)

    @cached_property
    def busy_ns(self) -> tuple[int, ...]:
        """Per pipeline rank the time inside its slots."""
        return tuple(
            int((ends - starts).sum())
            for starts, ends in zip(self.starts_ns, self.ends_ns, strict=True)
        )

    @property
    def idle_ns(self) -> tuple[int, ...]:
        """Per pipeline rank the time of the step outside its slots: the closed forms' bubble."""
        return tuple(self.makespan_ns - busy for busy in self.busy_ns)

    def producer(self, message: int) -> Action:
        """The action whose result message number `message` carries."""
        messages = self.messages
        slots = self.schedule.ranks[int(messages.source[message])]
        slot = slots[int(messages.producer_slot[message])]
        return slot[int(messages.member[message])]


def simulate(
    schedule: Schedule, timing: Timing, communication: Communication = "eager"
) -> SimulatedStep:
    """Run a schedule in simulated time; `communication` is one of `COMMUNICATIONS`.

    Raises `DpprofError` where a slot needs what no earlier slot makes, where ranks wait for each
    other, where the timing lacks an operation, and for times that no int64 holds. The cost grows
    linearly with the number of actions.
    """
    if communication not in COMMUNICATIONS:
        raise DpprofError(
            f"unknown communication {communication!r}; choose {' or '.join(COMMUNICATIONS)}"
        )
    plan = make_plan(schedule)
    lengths_ns = _lengths(schedule, timing)
    message_ns = timing.message.duration_ns
    if sum(lengths_ns) + message_ns * len(plan.messages) > _LONGEST_NS:
        raise DpprofError(f"{timing.source}: the step takes over 100 years; lower the costs")
    times = walk(plan, lengths_ns, timing.message, communication)
    starts, ends = np.array(times.starts, np.int64), np.array(times.ends, np.int64)
    parts = [slice(first, last) for first, last in pairwise(plan.offsets)]
    return SimulatedStep(
        schedule,
        timing,
        communication,
        tuple(starts[part] for part in parts),
        tuple(ends[part] for part in parts),
        _message_table(plan, times, ends),
    )


def _lengths(schedule: Schedule, timing: Timing) -> list[int]:
    lengths: list[int] = []
    for pp_rank, slots in enumerate(schedule.ranks):
        kinds = [slot_kind(slot) for slot in slots]
        known = {
            kind: timing.of_slot(pp_rank, slot).length_ns
            for kind, slot in dict(zip(kinds, slots, strict=True)).items()
        }
        lengths += [known[kind] for kind in kinds]
    return lengths


def _message_table(plan: StepPlan, times: Times, ends: Nanoseconds) -> Messages:
    numbers = np.fromiter(chain.from_iterable(plan.messages), dtype=np.int64)
    producer, member, consumer, source, target = numbers.reshape(-1, 5).T
    first = np.array(plan.offsets, dtype=np.int64)
    return Messages(
        source=source,
        target=target,
        producer_slot=producer - first[source],
        member=member,
        consumer_slot=consumer - first[target],
        ready_ns=ends[producer],
        start_ns=np.array(times.sent, dtype=np.int64),
        arrival_ns=np.array(times.arrived, dtype=np.int64),
    )
