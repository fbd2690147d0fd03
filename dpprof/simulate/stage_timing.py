"""How long the slots of a schedule take whose stages, or whose ranks, are not all alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from dpprof.costs.faults import InjectedFault, with_faults
from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import Chunk, is_uniform, stage_chunks
from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.timing import SlotTemplate, Timing, slot_template, timing_from_profile

_Key = tuple[int, str, tuple[int, ...]]
_Templates = dict[tuple[object, ...], SlotTemplate | None]
"""By operation and the identities of the layers of forward and backward."""


def schedule_timing(
    schedule: Schedule,
    profile: CostProfile,
    layers: int | None = None,
    faults: Sequence[InjectedFault] = (),
) -> Timing:
    """Timing of a schedule's slots by the stages that its ranks run, and the faults they have.

    `layers` of each stage may be given where all are alike; errors are those of
    `dpprof.costs.stages.stage_layers`.
    """
    if is_uniform(profile) and not faults and not _has_delays(profile, schedule):
        return timing_from_profile(profile, layers)
    staged: dict[_Key, SlotTemplate] = {}
    known: dict[int, _Templates] = {}
    for pp_rank in range(schedule.pp):
        own = with_faults(profile, faults, pp_rank)
        delay_ns = _delay_ns(profile, schedule, pp_rank)
        shared = known.setdefault(delay_ns, {}) if own is profile else {}
        staged.update(_rank_templates(schedule, pp_rank, own, layers, shared))
    message = with_faults(profile, [one for one in faults if one.name == "message"], 0).message
    return Timing({}, message, f"costs {profile.name}", staged)


def _has_delays(profile: CostProfile, schedule: Schedule) -> bool:
    return bool(profile.rank_delay_ns) and len(profile.rank_delay_ns) == schedule.pp


def _delay_ns(profile: CostProfile, schedule: Schedule, pp_rank: int) -> int:
    """What passes before anything runs in a slot of the rank."""
    own = _has_delays(profile, schedule)
    return profile.rank_delay_ns[pp_rank] if own else profile.slot_delay_ns


def rank_templates(
    schedule: Schedule, pp_rank: int, profile: CostProfile, layers: int | None = None
) -> dict[tuple[str, tuple[int, ...]], SlotTemplate]:
    """The slot templates of one rank by operation and directions of its members."""
    templates = _rank_templates(schedule, pp_rank, profile, layers, {})
    return {(operation, ways): template for (_, operation, ways), template in templates}


def _rank_templates(
    schedule: Schedule,
    pp_rank: int,
    profile: CostProfile,
    layers: int | None,
    known: _Templates,
) -> Iterator[tuple[_Key, SlotTemplate]]:
    """Every operation in every direction; `known` keeps those of stages that are alike."""
    profile = replace(profile, slot_delay_ns=_delay_ns(profile, schedule, pp_rank))
    chunks = stage_chunks(profile, schedule.placement.stage_count, layers)
    own = [chunks[stage] for stage in schedule.placement.stages[pp_rank]]
    for operation, ways in _slot_kinds(len(own)):
        forward, backward = own[ways[0]], own[ways[-1]]
        key = (operation, _same(forward), _same(backward))
        if key not in known:
            known[key] = slot_template(profile, operation, forward, backward)
        template = known[key]
        if template is not None:
            yield (pp_rank, operation, ways), template


def _same(chunk: Chunk) -> tuple[int, ...]:
    return tuple(map(id, chunk))


def _slot_kinds(directions: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for way in range(directions):
        for operation in Operation:
            yield operation.value, (way,)
        for other in range(directions):
            yield OVERLAPPED_PAIR, (way, other)
