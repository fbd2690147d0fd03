"""DualPipe: micro-batches enter at both ends; forwards hide under backwards (DeepSeek-V3, 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.bidirectional import BUBBLE_FORM, bidirectional_bubble, eight_phases
from dpprof.schedules.definition import ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_directions
from dpprof.schedules.registry import schedule


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    bubble = bidirectional_bubble(pp // 2, costs)
    if bubble.ranks_ns is not None:
        bubble = bubble._replace(ranks_ns=bubble.ranks_ns + bubble.ranks_ns[::-1])
    return ScheduleTheory(BUBBLE_FORM, bubble, 2, pp + 1, pp)


def _size_rule(pp: int, micro_batches: int) -> str | None:
    if pp % 2:
        return f"the number of ranks must be even; choose {pp + 1}"
    if micro_batches % 2:
        return (
            f"the micro-batches must be even, half each way; "
            f"choose {max(micro_batches + 1, 2 * pp)}"
        )
    if micro_batches < 2 * pp:
        return f"at least two micro-batches per rank are needed; choose {2 * pp} or more"
    return None


@schedule(
    "dualpipe",
    "both ends feed micro-batches, forwards overlap backwards; two stages' parameters per rank",
    placement=two_directions,
    theory=_theory,
    size_rule=_size_rule,
)
def dualpipe(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; the second half of the ranks swaps the directions."""
    depth = min(pp_rank, pp - 1 - pp_rank)
    return eight_phases(depth, pp // 2, micro_batches // 2, near=int(pp_rank >= pp // 2))
