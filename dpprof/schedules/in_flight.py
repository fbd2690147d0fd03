"""How many chunks of activations a rank holds at once, as its list of slots alone decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dpprof.schedules.actions import Operation, Slot
from dpprof.schedules.schedule import Schedule

_RELEASING = frozenset({Operation.BACKWARD, Operation.WEIGHT_GRADIENT})


class PeakInFlight(NamedTuple):
    """The most chunks in flight on a rank at once, and what they are."""

    total: int
    position: int
    """The first slot (position in the rank's list) during which so many are held; -1: no slot."""
    by_direction: tuple[int, ...]
    """Of the total: chunks of each direction at that slot."""
    direction_peaks: tuple[int, ...]
    """The most chunks of each direction at any time."""


def most_in_flight(slots: Iterable[Slot]) -> int:
    """The most chunks that a rank with these slots holds at once, as `in_flight` counts."""
    held = most = 0
    for slot in slots:
        held += sum(action.operation is Operation.FORWARD for action in slot)
        most = max(most, held)
        held -= sum(action.operation in _RELEASING for action in slot)
    return most


def most_bytes_held(slots: Iterable[Slot], sizes: Sequence[int]) -> int:
    """The most that a rank with these slots holds, a chunk of direction d taking ``sizes[d]``."""
    held = most = 0
    for slot in slots:
        for operation, direction, _ in slot:
            held += sizes[direction] * (operation is Operation.FORWARD)
        most = max(most, held)
        for operation, direction, _ in slot:
            held -= sizes[direction] * (operation in _RELEASING)
    return most


def in_flight(schedule: Schedule, pp_rank: int) -> Iterator[tuple[int, ...]]:
    """Chunks in flight by direction during each slot of a rank.

    A chunk is in flight from its F to its B, or, where the backward is split, its W. Within an
    overlapped pair the forward's counts before the backward's is released.
    """
    held = [0] * len(schedule.placement.streams)
    for slot in schedule.ranks[pp_rank]:
        for action in slot:
            held[action.direction] += action.operation is Operation.FORWARD
        yield tuple(held)
        for action in slot:
            held[action.direction] -= action.operation in _RELEASING


def peak_in_flight(schedule: Schedule) -> tuple[PeakInFlight, ...]:
    """The peak of every rank, in rank order."""
    return tuple(_peak(schedule, pp_rank) for pp_rank in range(schedule.pp))


def _peak(schedule: Schedule, pp_rank: int) -> PeakInFlight:
    none = (0,) * len(schedule.placement.streams)
    best, total, at, peaks = none, 0, -1, none
    for position, held in enumerate(in_flight(schedule, pp_rank)):
        peaks = tuple(map(max, peaks, held))
        if sum(held) > total:
            best, total, at = held, sum(held), position
    return PeakInFlight(total, at, best, peaks)
