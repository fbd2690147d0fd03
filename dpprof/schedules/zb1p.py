"""ZB1P: 1F1B with weight gradients held back to fill the drain (ZB-H1; Qi et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.one_f_one_b import in_turn
from dpprof.schedules.placements import one_stage
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    forward, inputs, weights = (
        costs.forward_ns,
        costs.input_gradient_ns,
        costs.weight_gradient_ns,
    )
    published_ns = (pp - 1) * (forward + inputs - weights)
    return ScheduleTheory(
        "(PP-1)(F+B-2W)",
        _bubble(pp, micro_batches, published_ns, (pp - 1) * max(forward, inputs)),
        1,
        min(pp, micro_batches),
        pp,
    )


def _bubble(pp: int, micro_batches: int, published_ns: int, least_ns: int) -> Bubble:
    """Idle is (PP-1) max(F+I-W, F, I): the published form while W <= min(F, I)."""
    if micro_batches < pp:
        return Bubble(published_ns, None, "fewer micro-batches than ranks: no form is known")
    note = "W > min(F, I): idle is (PP-1) max(F, I)" if published_ns < least_ns else ""
    return Bubble(published_ns, (max(published_ns, least_ns),) * pp, note)


@schedule(
    "zb1p",
    "1F1B with the backward split; weight gradients fill the drain (ZB-H1)",
    placement=one_stage,
    theory=_theory,
)
def zb1p(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank: 1F1B's order with I for B; W follows `pp_rank` input gradients later."""
    for slot in in_turn(pp_rank, pp, micro_batches, Operation.INPUT_GRADIENT):
        yield slot
        ((operation, _, micro_batch),) = slot
        if operation is Operation.INPUT_GRADIENT and micro_batch >= pp_rank:
            yield single(Operation.WEIGHT_GRADIENT, 0, micro_batch - pp_rank)
    for micro_batch in range(max(0, micro_batches - pp_rank), micro_batches):
        yield single(Operation.WEIGHT_GRADIENT, 0, micro_batch)
