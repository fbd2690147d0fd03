"""V-Min: two chunks per rank on a V with a third of 1F1B's activations (Qi et al., 2024b)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.building_block import BuildingBlock, block_theory, building_block_slots
from dpprof.schedules.definition import ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_arms_of_a_v
from dpprof.schedules.registry import schedule

BLOCK = BuildingBlock(1, 1, 1, 1)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    return block_theory(pp, micro_batches, BLOCK)


@schedule(
    "vmin",
    "two chunks per rank on a V, a third of 1F1B's activations, about its bubble (V-Min)",
    placement=two_arms_of_a_v,
    theory=_theory,
)
def vmin(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; direction 0 is the way down the V, direction 1 the way back."""
    return building_block_slots(pp_rank, pp, micro_batches, BLOCK)
