"""Makes a schedule of more micro-batches by repeating what its steady phase does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from dpprof.schedules.actions import Operation, Slot
from dpprof.search.anneal import NEVER, Annealed, Cooling, anneal
from dpprof.search.problem import Orders, Problem, sample_slot
from dpprof.simulate.engine import SimulatedStep

MOST_TRIED = 400


def repeat_steady(
    orders: Orders, problem: Problem, step: SimulatedStep, more: int
) -> tuple[Orders, int] | None:
    """Orders for `more` micro-batches a direction and their value, or None without steady phase.

    `step` is the step of these orders. The steady phase is a stretch of time in which every rank
    runs one F and one backward of each direction; the one that repeats best is taken.
    """
    larger = dataclasses.replace(problem, micro_batches=problem.micro_batches + more)
    best: tuple[Orders, int] | None = None
    tried: set[Orders] = set()
    for first, last in _stretches(step, problem):
        longer = _repeated(orders, step, first, last, more, problem.directions)
        if longer is None or longer in tried or len(tried) >= MOST_TRIED:
            continue
        tried.add(longer)
        value = anneal(larger, Annealed(longer, longer, 1), Cooling(0, 1.0, 1.0)).value_ns
        if value != NEVER and (best is None or value < best[1]):
            best = longer, value
    return best


def _stretches(step: SimulatedStep, problem: Problem) -> Iterator[tuple[int, int]]:
    """From the start of every slot of the rank in the middle, as long as a round takes."""
    rank = problem.ranks - 1 if problem.folded else problem.ranks // 2
    starts = step.starts_ns[rank].tolist()
    for first in range(len(starts)):
        for length in range(problem.directions, 3 * problem.directions + 1):
            if first + length < len(starts):
                yield starts[first], starts[first + length]


def _repeated(
    orders: Orders, step: SimulatedStep, first: int, last: int, more: int, directions: int
) -> Orders | None:
    longer = []
    for rank, order in enumerate(orders):
        starts = step.starts_ns[rank]
        low, high = (int(starts.searchsorted(time)) for time in (first, last))
        block = order[low:high]
        if not _is_round([sample_slot(token, directions) for token in block], directions):
            return None
        longer.append(order[:high] + block * more + order[high:])
    return tuple(longer)


def _is_round(slots: Sequence[Slot], directions: int) -> bool:
    """Whether the slots are one F, one backward and the W that it needs, of each direction."""
    done = [(action.operation, action.direction) for slot in slots for action in slot]
    for direction in range(directions):
        counts = [done.count((operation, direction)) for operation in Operation]
        if counts not in ([1, 1, 0, 0], [1, 0, 1, 1]):
            return False
    return True
