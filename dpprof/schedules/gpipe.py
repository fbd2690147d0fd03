"""GPipe: all forwards, then all backwards (Huang et al., 2019)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import one_stage
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    idle_ns = (pp - 1) * (costs.forward_ns + costs.backward_ns)
    bubble = Bubble(idle_ns, (idle_ns,) * pp)
    return ScheduleTheory("(PP-1)(F+B)", bubble, 1, micro_batches, pp)


@schedule(
    "gpipe",
    "all forwards, then all backwards; keeps every micro-batch's activations",
    placement=one_stage,
    theory=_theory,
)
def gpipe(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank: all forwards, then all backwards, both in order of micro-batch."""
    for operation in (Operation.FORWARD, Operation.BACKWARD):
        for micro_batch in range(micro_batches):
            yield single(operation, 0, micro_batch)
