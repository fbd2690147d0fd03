"""Hanayo: micro-batches go down and up the ranks in two waves (Liu et al., 2023)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.greedy import Policy, cached_orders, most_held
from dpprof.schedules.placements import two_waves
from dpprof.schedules.registry import schedule


def _policy(pp: int) -> Policy:
    return Policy(entered=pp, held=4 * pp)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    note = "laid out by running it with B = 2F; no closed form is known for this order"
    chunks = most_held(two_waves(pp), micro_batches, _policy(pp))
    return ScheduleTheory("", Bubble(None, None, note), 4, chunks, pp)


@schedule(
    "hanayo",
    "four chunks per rank in two waves, backwards first; PP micro-batches on their way",
    placement=two_waves,
    theory=_theory,
)
def hanayo(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; the direction of an action is the rank's chunk."""
    return iter(cached_orders(two_waves(pp), micro_batches, _policy(pp))[pp_rank])
