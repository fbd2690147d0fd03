"""Combined 1F1B: Megatron's interleaved order with forwards overlapped by backwards (EP overlap).

What ``--overlap-moe-expert-parallel-comm`` of Megatron-LM runs (``combined_1f1b.py``): one forward
more is warmed up, and each forward of the steady phase is one pair with the backward after it.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.interleaved_1f1b import CHUNKS, forwards_ahead, multiple_of_ranks, turn
from dpprof.schedules.placements import two_chunks_in_turn
from dpprof.schedules.registry import schedule


def _ahead(pp_rank: int, pp: int, micro_batches: int) -> int:
    return min(forwards_ahead(pp_rank, pp, micro_batches) + 1, CHUNKS * micro_batches)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    note = "no closed form is published for the overlapped order"
    in_flight = min(_ahead(0, pp, micro_batches) + 1, CHUNKS * micro_batches)
    return ScheduleTheory("", Bubble(None, None, note), CHUNKS, in_flight, pp)


@schedule(
    "combined-1f1b",
    "interleaved 1F1B whose forwards overlap backwards (Megatron's EP overlap), one more in flight",
    placement=two_chunks_in_turn,
    theory=_theory,
    size_rule=multiple_of_ranks,
)
def combined_1f1b(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; the direction of an action is the rank's chunk."""
    total, ahead = CHUNKS * micro_batches, _ahead(pp_rank, pp, micro_batches)
    for count in range(ahead):
        yield turn(Operation.FORWARD, count, pp, CHUNKS)
    for count in range(total):
        backward = turn(Operation.BACKWARD, count, pp, CHUNKS)
        if ahead + count < total:
            yield turn(Operation.FORWARD, ahead + count, pp, CHUNKS) + backward
        else:
            yield backward
