"""The schedule that a run followed, where no known one has its order: taken from its slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import Slot, parse_slot
from dpprof.schedules.check import check_schedule
from dpprof.schedules.schedule import DependencyRule, Placement, Schedule
from dpprof.tables.columns import CORRELATION, END, SLOT, START, STEP
from dpprof.trace.rank.rank_part import RankPart

AS_RUN = "as run"
"""Name of a schedule that has no other."""

_MOST = 0.75
"""Share of the dependencies that must hold: labels may be late."""

Orders = Mapping[int, tuple[tuple[str, ...], ...]]
"""Rank -> for each step its slots in order of start."""


def schedule_as_run(places: Sequence[RankPlace], orders: Orders) -> Schedule | None:
    """The order that all ranks kept in every step, as a schedule; None where it is none.

    It must be the same in every step and for all ranks of one place, complete, and free of
    deadlock. `places` are all in the pipeline; several directions need their stages.
    """
    ranks = _order_of_each(places, orders)
    if ranks is None:
        return None
    try:
        slots = tuple(tuple(parse_slot(text) for text in order) for order in ranks)
        placement = _placement(places, slots)
        if placement is None:
            return None
        ahead = {action.micro_batch for action in chain.from_iterable(slots[0])}
        schedule = Schedule(AS_RUN, len(ahead), placement, slots)
        check_schedule(schedule)
    except DpprofError:
        return None  # slots that are named in other ways, are missing, or wait for each other
    return schedule


def _order_of_each(places: Sequence[RankPlace], orders: Orders) -> list[tuple[str, ...]] | None:
    """The one order of each pipeline rank."""
    found: dict[int, set[tuple[str, ...]]] = {}
    for place in places:
        found.setdefault(place.pp_rank, set()).update(orders[place.rank])
    if sorted(found) != list(range(len(found))) or any(len(one) != 1 for one in found.values()):
        return None
    return [found[pp_rank].pop() for pp_rank in range(len(found))]


def _placement(
    places: Sequence[RankPlace], slots: tuple[tuple[Slot, ...], ...]
) -> Placement | None:
    """All directions are parts of one stream: two streams would need two ranks to share stages."""
    directions = {action.direction for rank in slots for slot in rank for action in slot}
    if directions == {0}:
        return Placement(tuple((pp_rank,) for pp_rank in range(len(slots))), (0,))
    held = {place.pp_rank: tuple(place.stages) for place in places}
    if directions != set(range(len(held[0]))):
        return None
    return Placement(tuple(held[pp_rank] for pp_rank in range(len(slots))), (0,) * len(held[0]))


def keeps_causality(
    schedule: Schedule, places: Sequence[RankPlace], parts: Sequence[RankPart]
) -> bool:
    """Whether most slots come after those of other ranks that they need.

    On a device a slot begins once its input is there. A slot that the host has timed may hold the
    wait for it, and only ends later.
    """
    holds = list(_held(schedule, places, parts))
    return bool(holds) and sum(holds) >= _MOST * len(holds)


def _held(
    schedule: Schedule, places: Sequence[RankPlace], parts: Sequence[RankPart]
) -> Iterator[bool]:
    """For every input from another rank whether it was there in time."""
    spans = {part.rank: _spans(part) for part in parts}
    on_host = all((part.communications[CORRELATION] < 0).all() for part in parts)
    beside: dict[int, list[int]] = {}
    for place in places:
        beside.setdefault(place.pp_rank, []).append(place.rank)
    rule = DependencyRule(schedule)
    for pp_rank, ranks in beside.items():
        needed = [
            (str(action), rule.upstream(pp_rank, action)) for action in schedule.actions(pp_rank)
        ]
        for number, rank in enumerate(ranks):
            for action, source in needed:
                if source is None or source.pp_rank == pp_rank:
                    continue
                producers = beside[source.pp_rank]
                made = spans[producers[min(number, len(producers) - 1)]]
                sent = made.get(str(source.action), {})
                for step, own in spans[rank].get(action, {}).items():
                    if step in sent:
                        yield own[on_host] >= sent[step][1]


def _spans(part: RankPart) -> dict[str, dict[int, tuple[int, int]]]:
    """Action -> step -> start and end of its slot."""
    found: dict[str, dict[int, tuple[int, int]]] = {}
    columns = (part.slots[name].tolist() for name in (SLOT, STEP, START, END))
    for slot, step, start, end in zip(*columns, strict=True):
        for action in str(slot).split("&"):
            found.setdefault(action, {})[step] = (start, end)
    return found
