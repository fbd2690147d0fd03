"""Repeats one micro-batch's way down and up a V every six units of time (Qi et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, product, repeat
from typing import NamedTuple

from dpprof.schedules.actions import Operation, Slot, numbered
from dpprof.schedules.definition import Bubble, ScheduleTheory
from dpprof.schedules.in_flight import most_in_flight

_ROUND = 6
"""Units from micro-batch to micro-batch: F, I and W of both chunks of a rank take one each."""


class BuildingBlock(NamedTuple):
    """Units from a rank to the next: of F down the V and up, and of I down and up again."""

    forward_down: int
    forward_up: int
    backward_down: int
    backward_up: int


def building_block_slots(
    pp_rank: int, pp: int, micro_batches: int, block: BuildingBlock
) -> Iterator[Slot]:
    """The slots of a rank in the order of their times when the block is repeated.

    Times only rise along dependencies, so no order of them can deadlock. The memory that a rank
    needs follows from how long the block lasts on it, divided by six.
    """
    actions = sorted(_times(pp_rank, pp, block), key=lambda action: action[2] % _ROUND)
    starts = [at // _ROUND for _, _, at in actions]
    first, rounds = min(starts), max(starts) - min(starts) + micro_batches
    units = [
        _by_round(numbered(operation, direction, micro_batches), start - first, rounds)
        for (operation, direction, _), start in zip(actions, starts, strict=True)
    ]
    return filter(None, chain.from_iterable(zip(*units, strict=True)))


def _by_round(slots: tuple[Slot, ...], before: int, rounds: int) -> Iterator[Slot | None]:
    """What a unit runs in every round; nothing in those `before` its first."""
    return chain(repeat(None, before), slots, repeat(None, rounds - before - len(slots)))


def block_theory(pp: int, micro_batches: int, block: BuildingBlock) -> ScheduleTheory:
    """What a repeated block promises: the memory; its authors give no closed form of the bubble."""
    ranks = (building_block_slots(pp_rank, pp, micro_batches, block) for pp_rank in range(pp))
    chunks = max(map(most_in_flight, ranks))
    note = "the authors give no closed form; it is made for F = I = W"
    return ScheduleTheory("", Bubble(None, None, note), 2, chunks, pp)


def _times(pp_rank: int, pp: int, block: BuildingBlock) -> list[tuple[Operation, int, int]]:
    """When a rank does what for micro-batch 0; W as soon as no other micro-batch is in its way."""
    starts = _starts(pp_rank, pp, block, _turns(pp, block))
    taken = {at % _ROUND for at in starts}
    times = [
        (Operation.FORWARD, 0, starts[0]),
        (Operation.FORWARD, 1, starts[1]),
        (Operation.INPUT_GRADIENT, 1, starts[2]),
        (Operation.INPUT_GRADIENT, 0, starts[3]),
    ]
    for direction, after in ((1, starts[2]), (0, starts[3])):
        at = next(t for t in range(after + 1, after + 1 + _ROUND) if t % _ROUND not in taken)
        taken.add(at % _ROUND)
        times.append((Operation.WEIGHT_GRADIENT, direction, at))
    return times


def _starts(pp_rank: int, pp: int, block: BuildingBlock, turns: tuple[int, ...]) -> tuple[int, ...]:
    """When F0, F1, I1 and I0 of micro-batch 0 start on a rank; `turns` as in `_turns`."""
    to_last = pp - 1 - pp_rank
    at_turn = (pp - 1) * block.forward_down + turns[0]
    at_loss = at_turn + (pp - 1) * block.forward_up + turns[1]
    back_at_turn = at_loss + (pp - 1) * block.backward_down + turns[2]
    return (
        pp_rank * block.forward_down,
        at_turn + to_last * block.forward_up,
        at_loss + pp_rank * block.backward_down,
        back_at_turn + to_last * block.backward_up,
    )


@lru_cache(maxsize=256)
def _turns(pp: int, block: BuildingBlock) -> tuple[int, ...]:
    """The least waits at the turn, the loss and the turn back with which no two slots collide."""
    for turns in sorted(product(range(1, _ROUND + 1), repeat=3), key=sum):
        ranks = (_starts(pp_rank, pp, block, turns) for pp_rank in range(pp))
        if all(len({at % _ROUND for at in starts}) == len(starts) for starts in ranks):
            return turns
    raise ValueError(f"{block} on {pp} ranks always collides")
