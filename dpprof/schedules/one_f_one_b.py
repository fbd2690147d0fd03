"""1F1B: one forward, one backward in turn (PipeDream-Flush; Narayanan et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import one_stage
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    idle_ns = (pp - 1) * (costs.forward_ns + costs.backward_ns)
    bubble = Bubble(idle_ns, (idle_ns,) * pp)
    return ScheduleTheory("(PP-1)(F+B)", bubble, 1, min(pp, micro_batches), pp)


@schedule(
    "1f1b",
    "one forward, one backward in turn; at most PP micro-batches in flight",
    placement=one_stage,
    theory=_theory,
)
def one_f_one_b(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank: see `in_turn`."""
    return in_turn(pp_rank, pp, micro_batches, Operation.BACKWARD)


def in_turn(pp_rank: int, pp: int, micro_batches: int, backward: Operation) -> Iterator[Slot]:
    """PP-1-r forwards ahead, then a forward and a `backward` in turn, then the last backwards."""
    ahead = min(pp - 1 - pp_rank, micro_batches)
    for micro_batch in range(ahead):
        yield single(Operation.FORWARD, 0, micro_batch)
    for micro_batch in range(micro_batches):
        if ahead + micro_batch < micro_batches:
            yield single(Operation.FORWARD, 0, ahead + micro_batch)
        yield single(backward, 0, micro_batch)
