"""Recognises the pipeline and its schedule in the slots that annotations name.

Which stages a rank computes places it in the pipeline; without stages, ranks that did the same
slots share a place, and the one that went ahead furthest comes first. The schedule is known by
name only where the order of every rank in every step is the one that a schedule of
`dpprof.schedules.registry` has for these sizes. Any other order is a schedule of its own if all
steps keep it and it could run (`dpprof.trace.recognise.observed_schedule`); else there are slots,
but no schedule.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import parse_slot, slot_text
from dpprof.schedules.registry import make_schedule, schedule_definition, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.tables.columns import END, KIND, OPERATION, SLOT, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.rank.rank_part import RankPart
from dpprof.trace.recognise.interleaved_chunks import chunk_names, with_chunks
from dpprof.trace.recognise.observed_schedule import (
    AS_RUN,
    Orders,
    keeps_causality,
    schedule_as_run,
)

_P2P = COMMUNICATION_KINDS[0]
_MOST_SLOTS = 100_000
"""Of one rank and step: no schedule that anybody runs has more."""

_MOST = 0.75


def recognise(
    parts: Sequence[RankPart], places: Sequence[RankPlace], steps: Collection[int]
) -> tuple[list[RankPart], tuple[RankPlace, ...], Schedule | None]:
    """The ranks in their places, and the schedule that they followed; None if there is none.

    The parts are given back, with their slots renamed where these turn out to be of several
    chunks (`dpprof.trace.recognise.interleaved_chunks`). `places` are what is known of the ranks,
    in the order of `parts`; places with stages or with different pipeline ranks are kept. `steps`
    are those to look at.
    """
    if not all(len(part.slots) for part in parts):
        return list(parts), tuple(places), None
    orders = {part.rank: _orders(part, steps) for part in parts}
    if not all(orders.values()):
        return list(parts), tuple(places), None
    placed = _placed(parts, places, orders)
    if placed is None:
        return list(parts), tuple(places), None
    names = chunk_names(placed, orders)
    if names is not None:
        renamed, in_chunks = with_chunks(parts, placed, names)
        schedule = schedule_as_run(in_chunks, {one.rank: _orders(one, steps) for one in renamed})
        if schedule is not None and keeps_causality(schedule, in_chunks, renamed):
            return renamed, in_chunks, _by_name(schedule)
    schedule = _known(placed, orders) or schedule_as_run(placed, orders)
    if schedule is not None and schedule.name == AS_RUN:
        schedule = schedule if keeps_causality(schedule, placed, parts) else None
    return list(parts), placed, schedule


def _by_name(schedule: Schedule) -> Schedule:
    """The interleaved schedule that is known by name, if it is that."""
    known = make_schedule("interleaved-1f1b", schedule.pp, schedule.micro_batches)
    return known if known.ranks == schedule.ranks else schedule


def _orders(part: RankPart, steps: Collection[int]) -> tuple[tuple[str, ...], ...]:
    slots = part.slots[part.slots[STEP].isin(list(steps)) & (part.slots[SLOT] != "")]
    slots = slots.sort_values([STEP, START], kind="stable")
    return tuple(tuple(own[SLOT].astype(str)) for _, own in slots.groupby(STEP))


def _placed(
    parts: Sequence[RankPart], places: Sequence[RankPlace], orders: Orders
) -> tuple[RankPlace, ...] | None:
    """The ranks' places in the pipeline; None where nothing tells them."""
    stages = [part.identity.stages for part in parts]
    if all(stages):
        return _by_stages(places, stages)
    if any(part.identity.place for part in parts) or any(place.stages for place in places):
        return tuple(places)
    if not all((part.communications[KIND] == _P2P).any() for part in parts):
        return None  # ranks that exchange no messages are no pipeline
    kinds = sorted(set(orders.values()), key=_goes_ahead, reverse=True)
    if len(kinds) > 1:
        return tuple(
            msgspec.structs.replace(place, pp_rank=kinds.index(orders[place.rank]))
            for place in places
        )
    same = len({len(part.slots) for part in parts}) == 1
    return tuple(places) if same and _end_in_turn(parts) else None


def _by_stages(
    places: Sequence[RankPlace], stages: Sequence[tuple[int, ...]]
) -> tuple[RankPlace, ...] | None:
    held = sorted(set(stages))
    if sorted(stage for one in held for stage in one) != list(range(sum(map(len, held)))):
        return None  # the traces of some stages are missing, or stages are held twice
    return tuple(
        msgspec.structs.replace(place, pp_rank=held.index(own), stages=list(own))
        for place, own in zip(places, stages, strict=True)
    )


def _goes_ahead(steps: tuple[tuple[str, ...], ...]) -> int:
    """How many forwards a rank does before anything else."""
    order = steps[0] if steps else ()
    return next((i for i, slot in enumerate(order) if slot[0] != "F"), len(order))


def _end_in_turn(parts: Sequence[RankPart]) -> bool:
    """Whether ranks that all did the same are a pipeline in order, and not copies of one rank.

    A pipeline's forwards end later, and its backwards earlier, the further down a rank is; labels
    may be late, so most have to.
    """
    slots = [part.slots.sort_values([STEP, START], kind="stable") for part in parts]
    ends = np.array([one[END].to_numpy(np.int64) for one in slots])
    later = np.diff(ends, axis=0) > 0
    forward = (slots[0][OPERATION] == "F").to_numpy()
    return bool(((later == forward).mean(axis=1) >= _MOST).all())


def _known(places: Sequence[RankPlace], orders: Orders) -> Schedule | None:
    """The known schedule that every rank followed in every step."""
    pp = 1 + max(place.pp_rank for place in places)
    if {place.pp_rank for place in places} != set(range(pp)) or pp < 2:
        return None
    for name in schedule_names():
        schedule = _candidate(name, pp, orders)
        if schedule is not None and all(_followed(schedule, place, orders) for place in places):
            return schedule
    return None


def _candidate(name: str, pp: int, orders: Orders) -> Schedule | None:
    """The schedule called `name` of as many micro-batches as the first rank has seen."""
    order = next(iter(orders.values()))[0]
    if len(order) > _MOST_SLOTS:
        return None
    try:
        actions = [action for slot in order for action in parse_slot(slot)]
        ahead = {one.micro_batch for one in actions if one.operation.value == "F"}
        streams = schedule_definition(name).placement(pp).stream_count
        return make_schedule(name, pp, len(ahead) * streams)
    except DpprofError:
        return None  # slots that are named in other ways, or sizes that the schedule cannot have


def _followed(schedule: Schedule, place: RankPlace, orders: Orders) -> bool:
    stages = schedule.placement.stages[place.pp_rank]
    if place.stages and tuple(place.stages) != stages:
        return False
    expected = tuple(map(slot_text, schedule.ranks[place.pp_rank]))
    return all(order == expected for order in orders[place.rank])
