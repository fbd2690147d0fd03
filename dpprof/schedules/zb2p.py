"""ZB-2P: twice 1F1B's activations, no bubble but the way to the last rank (Qi et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.greedy import Policy, cached_orders
from dpprof.schedules.placements import one_stage
from dpprof.schedules.registry import schedule


def _policy(pp: int) -> Policy:
    return Policy(entered=2 * pp, held=2 * pp, split=True)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    return ScheduleTheory("", _bubble(pp, micro_batches, costs), 1, min(2 * pp, micro_batches), pp)


def _bubble(pp: int, micro_batches: int, costs: ChunkCosts) -> Bubble:
    """With F = I = W only the way to the last rank (or from it) is idle: (pp - 1) F on every rank.

    The authors count none: their optimizer steps rank by rank, so that steps follow without a gap.
    """
    equal = costs.forward_ns == costs.input_gradient_ns == costs.weight_gradient_ns
    note = "made for F = I = W; no closed form is known where they differ"
    if not equal or micro_batches < 2 * pp:
        return Bubble(None, None, note)
    return Bubble(None, ((pp - 1) * costs.forward_ns,) * pp, note)


@schedule(
    "zb2p",
    "backwards split, 2 PP micro-batches in flight, weight gradients fill every gap (ZB-H2)",
    placement=one_stage,
    theory=_theory,
)
def zb2p(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank: I before F before W, as they can run with F = I = W."""
    return iter(cached_orders(one_stage(pp), micro_batches, _policy(pp))[pp_rank])
