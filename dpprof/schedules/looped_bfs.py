"""Looped breadth-first: every micro-batch on a chunk before the next chunk (Lamy-Poirier, 2023).

Depth first, the other way to loop, is `dpprof.schedules.interleaved_1f1b`.
"""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_chunks_in_turn
from dpprof.schedules.registry import schedule

CHUNKS = 2
"""Chunks (stages) per rank."""


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    idle_ns = (pp - 1) * (costs.forward_ns + costs.backward_ns)
    note = "" if micro_batches >= pp else "fewer micro-batches than ranks: no form is known"
    ranks_ns = (idle_ns,) * pp if micro_batches >= pp else None
    bubble = Bubble(idle_ns, ranks_ns, note)
    return ScheduleTheory("(PP/2-1)(F+B)", bubble, CHUNKS, CHUNKS * micro_batches, pp)


@schedule(
    "looped-bfs",
    "two chunks per rank, all micro-batches on one before the next; keeps all activations",
    placement=two_chunks_in_turn,
    theory=_theory,
)
def looped_bfs(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank: forwards chunk by chunk, then backwards from the last chunk."""
    for chunk in range(CHUNKS):
        for micro_batch in range(micro_batches):
            yield single(Operation.FORWARD, chunk, micro_batch)
    for chunk in reversed(range(CHUNKS)):
        for micro_batch in range(micro_batches):
            yield single(Operation.BACKWARD, chunk, micro_batch)
