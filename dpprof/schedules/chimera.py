"""Chimera: two 1F1B pipelines in opposite directions fill each other's gaps (Li, Hoefler, 2021)."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.greedy import Policy, cached_orders, most_held
from dpprof.schedules.placements import two_directions
from dpprof.schedules.registry import schedule


def _policy(pp: int) -> Policy:
    return Policy(entered=max(1, pp // 2), held=pp)


def _theory(pp: int, micro_batches: int, costs: ChunkCosts) -> ScheduleTheory:
    note = "laid out by running it with B = 2F; the authors' form is of PP micro-batches a step"
    chunks = most_held(two_directions(pp), micro_batches // 2, _policy(pp))
    return ScheduleTheory("", Bubble(None, None, note), 2, chunks, pp)


def _size_rule(pp: int, micro_batches: int) -> str | None:
    if pp % 2:
        return f"the number of ranks must be even; choose {pp + 1}"
    if micro_batches % 2:
        return f"the micro-batches must be even, half each way; choose {micro_batches + 1}"
    return None


@schedule(
    "chimera",
    "both ends feed 1F1B pipelines, PP/2 micro-batches each on their way; nothing overlapped",
    placement=two_directions,
    theory=_theory,
    size_rule=_size_rule,
)
def chimera(pp_rank: int, pp: int, micro_batches: int) -> Iterator[Slot]:
    """The slots of a rank; direction 1 enters at the last rank."""
    return iter(cached_orders(two_directions(pp), micro_batches // 2, _policy(pp))[pp_rank])
