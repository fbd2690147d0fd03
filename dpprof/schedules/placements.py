"""Which stages a rank runs: one, several in turn, the two arms of a V, or one of each direction."""

from __future__ import annotations

from dpprof.schedules.schedule import Placement


def one_stage(pp: int) -> Placement:
    """Rank r runs stage r."""
    return Placement(tuple((pp_rank,) for pp_rank in range(pp)), (0,))


def two_chunks_in_turn(pp: int) -> Placement:
    """Rank r runs stages r and r + pp, of the same stream."""
    return Placement(tuple((pp_rank, pp_rank + pp) for pp_rank in range(pp)), (0, 0))


def two_arms_of_a_v(pp: int) -> Placement:
    """Rank r runs stages r and 2 pp - 1 - r of the same stream; rank 0 has both ends."""
    return Placement(tuple((pp_rank, 2 * pp - 1 - pp_rank) for pp_rank in range(pp)), (0, 0))


def two_directions(pp: int) -> Placement:
    """Rank r runs stage r for stream 0 and stage pp - 1 - r for stream 1, the other way."""
    return Placement(tuple((pp_rank, pp - 1 - pp_rank) for pp_rank in range(pp)), (0, 1))
