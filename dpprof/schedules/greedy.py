"""Lays out a schedule by running it: a free rank takes a backward if it can, else a forward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.in_flight import most_in_flight
from dpprof.schedules.schedule import Placement

try:
    from dpprof.schedules import _step as _compiled  # type: ignore[attr-defined]
except ImportError:  # built without a C compiler
    _compiled = None

_OPERATIONS = tuple(Operation)
MOST_DIRECTIONS = 64
"""The core knows no rank with more chunks."""
_UNITS = {"F": 1, "I": 1, "W": 1, "B": 2}


@dataclass(frozen=True)
class Policy:
    """What a rank may do.

    `entered` is how many micro-batches of each stream may be on their way from the first stage and
    back; `held` how many chunks of activations a rank may hold. `split`: backwards are I and W, and
    W only runs where nothing else can.
    """

    entered: int
    held: int
    split: bool = False


@lru_cache(maxsize=16)
def cached_orders(
    placement: Placement, micro_batches: int, policy: Policy
) -> tuple[tuple[Slot, ...], ...]:
    """`greedy_orders`, kept: schedules ask for one rank after the other."""
    return greedy_orders(placement, micro_batches, policy)


def most_held(placement: Placement, micro_batches: int, policy: Policy) -> int:
    """The most chunks of activations that any rank holds at once."""
    return max(map(most_in_flight, cached_orders(placement, micro_batches, policy)))


def greedy_orders(
    placement: Placement, micro_batches: int, policy: Policy
) -> tuple[tuple[Slot, ...], ...]:
    """The slots of every rank when F, I and W take one unit of time, B two, and messages none.

    `micro_batches` is the number of each stream. Of several backwards, or forwards, that can run
    the one furthest on its way is taken, then the lower micro-batch. No deadlock can come of it
    where `held` is no less than `entered` times a rank's stages of all streams, or where a rank
    has one stage. The compiled core lays them out, or its twin where it is missing.
    """
    if _compiled is None:
        return greedy_orders_python(placement, micro_batches, policy)
    streams, pp = placement.streams, len(placement.stages)
    numbers = (pp, len(streams), micro_batches, placement.stage_count, placement.stream_count)
    limits = (policy.entered, policy.held, int(policy.split))
    count = pp * len(streams) * micro_batches * (3 if policy.split else 2)
    rows = np.zeros((count, 4), np.int32)
    if not _compiled.greedy(
        np.array(numbers + limits, np.int32),
        np.array(placement.stages, np.int32),
        np.array(streams, np.int32),
        rows,
    ):
        raise DpprofError(f"{policy}: no rank can go on; allow more in flight")
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    slots, ends = _slots(rows, micro_batches), np.searchsorted(rows[:, 0], np.arange(pp + 1))
    return tuple(slots[first:last] for first, last in pairwise(ends.tolist()))


def _slots(rows: npt.NDArray[np.int32], micro_batches: int) -> tuple[Slot, ...]:
    """Slots of rows of rank, operation, direction and micro-batch, each kind looked up once."""
    keys = (rows[:, 1] * MOST_DIRECTIONS + rows[:, 2]).astype(np.int64) * micro_batches + rows[:, 3]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    known = [
        single(_OPERATIONS[code], direction, micro_batch)
        for _, code, direction, micro_batch in rows[first].tolist()
    ]
    return tuple(map(known.__getitem__, place.reshape(-1).tolist()))


def greedy_orders_python(
    placement: Placement, micro_batches: int, policy: Policy
) -> tuple[tuple[Slot, ...], ...]:
    """`greedy_orders` in Python: the twin of the compiled core."""
    state = _State(placement, micro_batches, policy)
    now = 0
    while state.left:
        for pp_rank in range(len(placement.stages)):
            state.work(pp_rank, now)
        now += 1
    return tuple(map(tuple, state.slots))


class _State:
    """How far every rank has come; state because ranks take their next slots as time goes on."""

    def __init__(self, placement: Placement, micro_batches: int, policy: Policy) -> None:
        ranks, streams = len(placement.stages), placement.streams
        self._placement, self._policy = placement, policy
        self._micro_batches, self._last = micro_batches, placement.stage_count - 1
        self._backward = Operation.INPUT_GRADIENT if policy.split else Operation.BACKWARD
        self.slots: list[list[Slot]] = [[] for _ in range(ranks)]
        self.left = ranks * len(streams) * micro_batches * (3 if policy.split else 2)
        self._free = [0] * ranks
        self._held = [0] * ranks
        self._pending: list[list[tuple[int, int]]] = [[] for _ in range(ranks)]
        self._done: dict[tuple[Operation, int, int], list[int]] = {
            (operation, stream, stage): []
            for operation in (Operation.FORWARD, self._backward)
            for stream in set(streams)
            for stage in range(self._last + 1)
        }

    def work(self, pp_rank: int, now: int) -> None:
        """Let a rank start its next slot, if it is free and there is one."""
        if self._free[pp_rank] > now:
            return
        choice = min(self._choices(pp_rank, now), default=None)
        if choice is None:
            return
        *_, operation, direction, micro_batch = choice
        self.left -= 1
        self._free[pp_rank] = now + _UNITS[operation]
        self.slots[pp_rank].append(single(operation, direction, micro_batch))
        self._note(pp_rank, operation, direction, micro_batch)

    def _note(self, pp_rank: int, operation: Operation, direction: int, micro_batch: int) -> None:
        if operation is Operation.WEIGHT_GRADIENT:
            self._held[pp_rank] -= 1
            self._pending[pp_rank].remove((direction, micro_batch))
            return
        stream, stage = self._where(pp_rank, direction)
        self._done[operation, stream, stage].append(self._free[pp_rank])
        if operation is Operation.FORWARD:
            self._held[pp_rank] += 1
        elif operation is Operation.BACKWARD:
            self._held[pp_rank] -= 1
        else:
            self._pending[pp_rank].append((direction, micro_batch))

    def _where(self, pp_rank: int, direction: int) -> tuple[int, int]:
        return self._placement.streams[direction], self._placement.stages[pp_rank][direction]

    def _choices(
        self, pp_rank: int, now: int
    ) -> Iterator[tuple[int, int, int, Operation, int, int]]:
        """(class, how far from its end, micro-batch, action): the least goes first."""
        for direction in range(len(self._placement.streams)):
            stream, stage = self._where(pp_rank, direction)
            number = len(self._done[self._backward, stream, stage])
            if self._can_go_back(stream, stage, number, now):
                yield 0, stage, number, self._backward, direction, number
            number = len(self._done[Operation.FORWARD, stream, stage])
            if self._can_go_on(pp_rank, stream, stage, number, now):
                yield 1, -stage, number, Operation.FORWARD, direction, number
        for direction, number in self._pending[pp_rank][:1]:
            yield 2, 0, number, Operation.WEIGHT_GRADIENT, direction, number

    def _can_go_back(self, stream: int, stage: int, number: int, now: int) -> bool:
        if not self._ended(Operation.FORWARD, stream, stage, number, now):
            return False
        return stage == self._last or self._ended(self._backward, stream, stage + 1, number, now)

    def _can_go_on(self, pp_rank: int, stream: int, stage: int, number: int, now: int) -> bool:
        if number >= self._micro_batches or self._held[pp_rank] >= self._policy.held:
            return False
        if stage:
            return self._ended(Operation.FORWARD, stream, stage - 1, number, now)
        back = self._done[self._backward, stream, 0]
        return (
            number
            - sum(end <= now for end in back[-self._policy.entered :])
            - max(0, len(back) - self._policy.entered)
            < self._policy.entered
        )

    def _ended(self, operation: Operation, stream: int, stage: int, number: int, now: int) -> bool:
        ends = self._done[operation, stream, stage]
        return number < len(ends) and ends[number] <= now
