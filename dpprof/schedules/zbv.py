"""ZB-V: two chunks per rank on a V, every backward split (Qi et al., 2024, section 6)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, numbered, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_arms_of_a_v
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    return ScheduleTheory(
        "", _bubble(pp, micro_batches, costs), 2, min(2 * pp, 2 * micro_batches), pp
    )


def _bubble(pp: int, micro_batches: int, costs: ChunkCosts) -> Bubble:
    """With F = I = W only the way to the last rank and back is idle: (pp - 1) F on every rank."""
    note = "ZB-V's authors give no closed form; it is made for F = I = W"
    equal = costs.forward_ns == costs.input_gradient_ns == costs.weight_gradient_ns
    if not equal or micro_batches < 2 * pp - 1:
        return Bubble(None, None, note)
    return Bubble(None, ((pp - 1) * costs.forward_ns,) * pp, note)


@schedule(
    "zbv",
    "two chunks per rank on a V, weight gradients fill the gaps (ZB-V)",
    placement=two_arms_of_a_v,
    theory=_theory,
)
def zbv(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; with fewer than 2 PP - 1 micro-batches, the order without the others."""
    if micro_batches >= 2 * pp - 1:
        return _full_pipeline(pp_rank, pp, micro_batches)
    longer = _full_pipeline(pp_rank, pp, 2 * pp - 1)
    return (slot for slot in longer if slot[0].micro_batch < micro_batches)


def _full_pipeline(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The order for at least 2 PP - 1 micro-batches."""
    to_turn = pp - pp_rank
    forward, inputs, weights = (
        [numbered(operation, direction, micro_batches) for direction in (0, 1)]
        for operation in (Operation.FORWARD, Operation.INPUT_GRADIENT, Operation.WEIGHT_GRADIENT)
    )
    yield from forward[0][: 2 * to_turn - 1]  # until the first micro-batch is back from the turn
    for back in range(pp_rank):
        yield forward[1][back]
        yield forward[0][2 * to_turn - 1 + back]
    for turn in range(to_turn):  # backwards come down from rank 0, which has the last stage
        yield forward[1][pp_rank + turn]
        yield inputs[1][turn]
        yield weights[1][turn]
    for turn in range(micro_batches - pp):  # steady: every stage once forwards and backwards
        if pp + to_turn - 1 + turn < micro_batches:
            yield forward[0][pp + to_turn - 1 + turn]
        yield inputs[0][turn]
        yield weights[0][turn]
        yield forward[1][pp + turn]
        yield inputs[1][to_turn + turn]
        yield weights[1][to_turn + turn]
    yield from _drain(pp_rank, pp, micro_batches)


def _drain(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """Input gradients first, since other ranks wait for them; then the weight gradients left."""
    last_0, last_1 = micro_batches - pp, micro_batches - pp_rank
    for turn in range(pp_rank):
        yield single(Operation.INPUT_GRADIENT, 0, last_0 + turn)
        yield single(Operation.INPUT_GRADIENT, 1, last_1 + turn)
    for turn in range(pp - pp_rank):
        yield single(Operation.INPUT_GRADIENT, 0, last_0 + pp_rank + turn)
        yield single(Operation.WEIGHT_GRADIENT, 0, last_0 + turn)
    for direction in (1, 0):
        for micro_batch in range(last_1, micro_batches):
            yield single(Operation.WEIGHT_GRADIENT, direction, micro_batch)
