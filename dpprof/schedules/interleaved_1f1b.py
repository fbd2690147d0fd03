"""Interleaved 1F1B: several chunks per rank shorten the fill (Narayanan et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Operation, Slot, single
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.placements import two_chunks_in_turn
from dpprof.schedules.registry import schedule

CHUNKS = 2
"""Chunks (stages) per rank."""


def forwards_ahead(pp_rank: int, pp: int, micro_batches: int, chunks: int = CHUNKS) -> int:
    """Megatron's warm-up: to the last rank and back, and a round of each chunk but the last."""
    return min(2 * (pp - 1 - pp_rank) + (chunks - 1) * pp, chunks * micro_batches)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    idle_ns = (pp - 1) * (costs.forward_ns + costs.backward_ns)
    bubble = Bubble(idle_ns, (idle_ns,) * pp)
    in_flight = min(forwards_ahead(0, pp, micro_batches) + 1, CHUNKS * micro_batches)
    return ScheduleTheory("(PP/2-1)(F+B)", bubble, CHUNKS, in_flight, pp)


def multiple_of_ranks(pp: int, micro_batches: int) -> str | None:
    """The size rule: what is wrong with the sizes, or None."""
    if micro_batches % pp:
        return f"the micro-batches must be a multiple of the ranks; choose a multiple of {pp}"
    return None


def turn(operation: Operation, count: int, pp: int, chunks: int) -> Slot:
    """The `count`-th chunk: PP micro-batches on each chunk in turn, backwards in reverse."""
    rounds, within = divmod(count, chunks * pp)
    chunk, micro_batch = divmod(within, pp)
    if operation is Operation.BACKWARD:
        chunk = chunks - 1 - chunk
    return single(operation, chunk, rounds * pp + micro_batch)


@schedule(
    "interleaved-1f1b",
    "1F1B with two chunks per rank in turn (Megatron's order): half the bubble, more messages",
    placement=two_chunks_in_turn,
    theory=_theory,
    size_rule=multiple_of_ranks,
)
def interleaved_1f1b(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; the direction of an action is the rank's chunk."""
    return interleaved_slots(pp_rank, pp, micro_batches, CHUNKS)


def interleaved_slots(pp_rank: int, pp: int, micro_batches: int, chunks: int) -> Iterator[Slot]:
    """The same with any number of chunks per rank; `micro_batches` is a multiple of `pp`."""
    total = chunks * micro_batches
    ahead = forwards_ahead(pp_rank, pp, micro_batches, chunks)
    for count in range(ahead):
        yield turn(Operation.FORWARD, count, pp, chunks)
    for count in range(total):
        if ahead + count < total:
            yield turn(Operation.FORWARD, ahead + count, pp, chunks)
        yield turn(Operation.BACKWARD, count, pp, chunks)
