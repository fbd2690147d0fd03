"""A schedule in the form that is annealed: slots as tokens, and where their results go.

The micro-batches of a direction are alike, and a schedule loses nothing by running them in order
on every stage (an exchange of two never makes a later one wait longer). So a slot is a token, and
the k-th forward (backward, W) of a direction on a rank is micro-batch k: token ``operation * D +
direction`` for F, B, I, W with D directions, and ``4 D + forward * D + backward`` for a pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpprof.costs.profile import MessageCost
from dpprof.schedules.actions import Action, Operation, Slot
from dpprof.schedules.schedule import Placement, Schedule

Array = npt.NDArray[Any]
OPERATIONS = tuple(Operation)
MOST_DIRECTIONS = 4

Orders = tuple[tuple[int, ...], ...]
"""Tokens of every rank, in running order."""
Length = Callable[[int, Slot], int]
"""Nanoseconds that a slot takes on a pipeline rank."""


@dataclass(frozen=True)
class Problem:
    """What is annealed; arrays as the compiled core takes them.

    `lengths` is (ranks, tokens) in ns; `links` (ranks * directions, 4) holds where the results of
    F and B go (rank * directions + direction, -1: nowhere) and on which edge (-1: no message);
    `weights` (ranks, directions) is what a chunk in flight takes of a rank's `limits`.
    """

    directions: int
    micro_batches: int
    edges: int
    lengths: Array
    links: Array
    weights: Array
    limits: Array
    message: Array
    folded: bool

    @property
    def ranks(self) -> int:
        """Ranks that are searched: half of them where the others are their mirror image."""
        return len(self.lengths)

    @property
    def room(self) -> int:
        """The most slots of a rank: every backward split."""
        return 3 * self.micro_batches * self.directions


def make_problem(
    schedule: Schedule,
    length: Length,
    message: MessageCost,
    weights: Array,
    limits: Array,
    *,
    fold: bool = True,
) -> Problem:
    """The problem of finding a better order than that of `schedule`, with its placement.

    `weights` (ranks, directions) and `limits` (ranks) bound the chunks in flight. A schedule that
    is its own mirror image (DualPipe) is searched by half its ranks, unless `fold` is off.
    """
    folded = fold and _is_mirror_image(schedule, length, weights, limits)
    ranks = schedule.pp // 2 if folded else schedule.pp
    directions = len(schedule.placement.streams)
    links, edges = _links(schedule.placement, ranks, folded)
    lengths = [
        [length(rank, sample_slot(token, directions)) for token in _tokens(directions)]
        for rank in range(ranks)
    ]
    return Problem(
        directions,
        schedule.micro_batches_per_stream,
        edges,
        np.array(lengths, np.int64),
        np.array(links, np.int32),
        np.ascontiguousarray(weights[:ranks], np.int64),
        np.ascontiguousarray(limits[:ranks], np.int64),
        np.array([message.transfer_ns, message.duration_ns], np.int64),
        folded,
    )


def _tokens(directions: int) -> range:
    return range(4 * directions + directions**2)


def sample_slot(token: int, directions: int) -> Slot:
    """The slot that a token stands for, of micro-batch 0."""
    if token < 4 * directions:
        operation, direction = divmod(token, directions)
        return (Action(OPERATIONS[operation], direction, 0),)
    forward, backward = divmod(token - 4 * directions, directions)
    return (Action(Operation.FORWARD, forward, 0), Action(Operation.BACKWARD, backward, 0))


def _token(slot: Slot, directions: int, *, mirrored: bool = False) -> int:
    way = [1 - action.direction if mirrored else action.direction for action in slot]
    if len(slot) == 2:
        return 4 * directions + way[0] * directions + way[1]
    return OPERATIONS.index(slot[0].operation) * directions + way[0]


def orders_of(schedule: Schedule, problem: Problem) -> Orders:
    """The tokens of the ranks that are searched."""
    return tuple(
        tuple(_token(slot, problem.directions) for slot in slots)
        for slots in schedule.ranks[: problem.ranks]
    )


def schedule_of(orders: Orders, problem: Problem, like: Schedule, name: str) -> Schedule:
    """The schedule that the orders are, with the placement of `like`."""
    ranks = [_slots(order, problem.directions) for order in orders]
    if problem.folded:
        ranks += [_slots(order, 2, mirrored=True) for order in reversed(orders)]
    return Schedule(name, problem.micro_batches * _streams(like), like.placement, tuple(ranks))


def _streams(schedule: Schedule) -> int:
    return schedule.placement.stream_count


def _slots(order: Sequence[int], directions: int, *, mirrored: bool = False) -> tuple[Slot, ...]:
    """Numbers the micro-batches of a rank: forwards, backwards and W each in order."""
    count: Counter[tuple[str, int]] = Counter()
    split: dict[int, list[int]] = {direction: [] for direction in range(directions)}
    slots = []
    for token in order:
        slot = []
        for operation, way, _ in sample_slot(token, directions):
            direction = 1 - way if mirrored else way
            if operation is Operation.WEIGHT_GRADIENT:
                number = split[direction].pop(0)
            else:
                key = "F" if operation is Operation.FORWARD else "B"
                number = count[key, direction]
                count[key, direction] += 1
            if operation is Operation.INPUT_GRADIENT:
                split[direction].append(number)
            slot.append(Action(operation, direction, number))
        slots.append(tuple(slot))
    return tuple(slots)


def _links(placement: Placement, ranks: int, folded: bool) -> tuple[list[list[int]], int]:
    places, directions = placement.places(), len(placement.streams)
    last, pp = placement.stage_count - 1, len(placement.stages)
    edges: dict[tuple[int, int], int] = {}
    links = []
    for rank in range(ranks):
        for direction in range(directions):
            next_place, edge = [-1, -1], [-1, -1]
            for way, step in enumerate((1, -1)):
                stage = placement.stages[rank][direction] + step
                if not 0 <= stage <= last:
                    continue
                target, target_direction = places[placement.streams[direction], stage]
                if target != rank:
                    edge[way] = edges.setdefault((rank, target), len(edges))
                if folded and target >= ranks:
                    target, target_direction = pp - 1 - target, 1 - target_direction
                next_place[way] = target * directions + target_direction
            links.append([*next_place, *edge])
    return links, len(edges)


def _is_mirror_image(schedule: Schedule, length: Length, weights: Array, limits: Array) -> bool:
    """Whether rank PP-1-r does in direction 1 what rank r does in direction 0, at equal cost."""
    placement, pp = schedule.placement, schedule.pp
    if placement.streams != (0, 1) or pp % 2:
        return False
    for rank in range(pp // 2):
        other = pp - 1 - rank
        if placement.stages[rank] != placement.stages[other][::-1]:
            return False
        if limits[rank] != limits[other] or any(weights[rank] != weights[other][::-1]):
            return False
        own = [_token(slot, 2) for slot in schedule.ranks[rank]]
        if own != [_token(slot, 2, mirrored=True) for slot in schedule.ranks[other]]:
            return False
        for token in _tokens(2):
            slot = sample_slot(token, 2)
            twin = tuple(action._replace(direction=1 - action.direction) for action in slot)
            if length(rank, slot) != length(other, twin):
                return False
    return True
