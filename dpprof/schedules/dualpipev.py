"""DualPipeV: DualPipe cut in half and folded, one copy of the parameters (DeepSeek, 2025)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.bidirectional import BUBBLE_FORM, bidirectional_bubble, eight_phases
from dpprof.schedules.definition import ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_arms_of_a_v
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    return ScheduleTheory(BUBBLE_FORM, bidirectional_bubble(pp, costs), 2, 2 * pp + 1, pp)


def _size_rule(pp: int, micro_batches: int) -> str | None:
    if micro_batches < 2 * pp:
        return f"at least two micro-batches per rank are needed; choose {2 * pp} or more"
    return None


@schedule(
    "dualpipev",
    "DualPipe folded into a V: half the ranks, one copy of the parameters",
    placement=two_arms_of_a_v,
    theory=_theory,
    size_rule=_size_rule,
)
def dualpipev(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; direction 0 is the way down the V, direction 1 the way back."""
    return eight_phases(pp_rank, pp, micro_batches)
