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


def two_waves(pp: int) -> Placement:
    """Rank r runs stages r, 2 pp - 1 - r, 2 pp + r and 4 pp - 1 - r: down and up a V, twice."""
    stages = (
        (pp_rank, 2 * pp - 1 - pp_rank, 2 * pp + pp_rank, 4 * pp - 1 - pp_rank)
        for pp_rank in range(pp)
    )
    return Placement(tuple(stages), (0, 0, 0, 0))


def two_directions(pp: int) -> Placement:
    """Rank r runs stage r for stream 0 and stage pp - 1 - r for stream 1, the other way."""
    return Placement(tuple((pp_rank, pp - 1 - pp_rank) for pp_rank in range(pp)), (0, 1))


def placement_fault(placement: Placement, pp: int) -> str | None:
    """What is wrong with a placement on `pp` ranks that was read from outside; None if nothing.

    Every rank has a stage for each direction, streams are numbered from 0 without a gap, and
    every stream passes every stage, numbered from 0, exactly once.
    """
    stages, streams = placement.stages, placement.streams
    if len(stages) != pp:
        return f"stages has {len(stages)} entries for {pp} ranks"
    if sorted(set(streams)) != list(range(len(set(streams)))) or not streams:
        return f"streams must number the flows of micro-batches 0, 1, ..., not {list(streams)}"
    for pp_rank, rank_stages in enumerate(stages):
        if len(rank_stages) != len(streams):
            return f"rank {pp_rank} has {len(rank_stages)} stages for {len(streams)} directions"
    for stream in sorted(set(streams)):
        found = sorted(
            stage for rank in stages for stage, s in zip(rank, streams, strict=True) if s == stream
        )
        if found != list(range(len(found))):
            return f"stream {stream} must pass stages 0 to {len(found) - 1} once each, not {found}"
    lengths = {streams.count(stream) for stream in streams}
    return "streams pass different numbers of stages" if len(lengths) > 1 else None
