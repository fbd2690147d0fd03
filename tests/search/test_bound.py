"""The bound against the shortest of all orders, where all can be tried."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np
import pytest

from dpprof.costs.profile import MessageCost
from dpprof.schedules.placements import one_stage, two_arms_of_a_v, two_directions
from dpprof.schedules.schedule import Schedule
from dpprof.search.anneal import NEVER, evaluate
from dpprof.search.bound import lower_bound
from dpprof.search.problem import make_problem

_FORWARD, _BACKWARD, _INPUTS, _WEIGHTS = range(4)
PLACEMENTS = {
    "one stage": (one_stage, 1),
    "both directions": (two_directions, 2),
    "two arms of a V": (two_arms_of_a_v, 2),
}


@lru_cache
def every_order(directions: int, micro_batches: int) -> tuple[tuple[int, ...], ...]:
    """All orders of a rank: forwards, backwards, split or not, and pairs of any directions."""
    left = (micro_batches,) * directions
    return tuple(_orders((), left, (0,) * directions, (0,) * directions))


def _orders(order, forwards, held, pending) -> Iterator[tuple[int, ...]]:
    ways = range(len(held))
    if not any(forwards) and not any(held) and not any(pending):
        yield order
    for way in ways:
        d = len(held)
        if forwards[way]:
            fewer, more = _add(forwards, way, -1), _add(held, way, 1)
            yield from _orders((*order, _FORWARD * d + way), fewer, more, pending)
            for back in ways:
                if held[back]:
                    pair = 4 * d + way * d + back
                    yield from _orders((*order, pair), fewer, _add(more, back, -1), pending)
        if held[way]:
            less = _add(held, way, -1)
            yield from _orders((*order, _BACKWARD * d + way), forwards, less, pending)
            yield from _orders((*order, _INPUTS * d + way), forwards, less, _add(pending, way, 1))
        if pending[way]:
            yield from _orders((*order, _WEIGHTS * d + way), forwards, held, _add(pending, way, -1))


def _add(counts, place, number):
    return (*counts[:place], counts[place] + number, *counts[place + 1 :])


def drawn_problem(seed: int, where: str, ranks: int, micro_batches: int):
    """Ranks and directions that are all unlike: any lengths, messages that take time or none."""
    chance = random.Random(seed)
    placement, directions = PLACEMENTS[where]
    place = placement(ranks)
    lengths: dict[object, int] = {}
    like_costs = chance.random() < 0.5
    for rank, way in product(range(ranks), range(directions)):
        parts = {operation: chance.randint(1, 40) for operation in "FBIW"}
        if like_costs:  # a whole backward is about its halves
            parts["B"] = (
                parts["I"] + parts["W"] - chance.randint(0, min(parts["I"], parts["W"]) - 1)
            )
        lengths |= {(rank, operation, way): ns for operation, ns in parts.items()}

    def length(rank, slot):
        each = [lengths[rank, one.operation.value, one.direction] for one in slot]
        if len(slot) == 1:
            return each[0]
        key = (rank, tuple(slot))
        if key not in lengths:
            least = max(each) if like_costs else 1
            lengths[key] = chance.randint(least, sum(each))
        return lengths[key]

    message = MessageCost(
        bytes=chance.randint(0, 9), latency_ns=chance.randint(0, 9), bytes_per_second=1e9
    )
    schedule = Schedule("drawn", micro_batches * place.stream_count, place, ((),) * ranks)
    weights = np.ones((ranks, directions), np.int64)
    limits = np.full(ranks, directions * micro_batches, np.int64)
    return make_problem(schedule, length, message, weights, limits, fold=False)


CASES = [
    ("one stage", 1, 3),
    ("one stage", 2, 2),
    ("one stage", 3, 2),
    ("one stage", 4, 1),
    ("both directions", 2, 1),
    ("two arms of a V", 1, 1),
    ("two arms of a V", 2, 1),
]


@pytest.mark.parametrize(("where", "ranks", "micro_batches"), CASES)
def test_no_order_at_all_is_below_the_bound(where, ranks, micro_batches):
    problem = drawn_problem(ranks, where, ranks, micro_batches)
    orders = every_order(PLACEMENTS[where][1], micro_batches)
    shortest = min(evaluate(problem, one) for one in product(orders, repeat=ranks))
    assert lower_bound(problem) <= shortest < NEVER
