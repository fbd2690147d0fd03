"""How long slots and messages take, from a cost profile or from measured slot durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation
from dpprof.schedules.components import Lane, component_program

OPERATIONS = (*(operation.value for operation in Operation), OVERLAPPED_PAIR)
"""Operations of slots, in the order of their codes in simulated columns."""

ANY_RANK = -1
WHOLE_SLOT = -1
"""The `member` of an event that stands for a whole overlapped pair."""

_SUMS = {"B": ("I", "W"), OVERLAPPED_PAIR: ("F", "B")}


class TemplateEvent(NamedTuple):
    """One event of a slot, times relative to the slot's start; empty text and -1: not one."""

    member: int
    part: str
    component: str
    layer: int
    lane: Lane
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class SlotTemplate:
    """What every slot of one operation looks like: its length and its events."""

    operation: str
    length_ns: int
    events: tuple[TemplateEvent, ...]


@dataclass(frozen=True)
class Timing:
    """Slot templates by ``(pp_rank or ANY_RANK, operation)``, and the cost of a message."""

    templates: Mapping[tuple[int, str], SlotTemplate]
    message: MessageCost = field(default_factory=MessageCost)
    source: str = "measured durations"

    def template(self, pp_rank: int, operation: str) -> SlotTemplate:
        """The template of an operation on a rank; raises `DpprofError` where none is known."""
        for key in ((pp_rank, operation), (ANY_RANK, operation)):
            if key in self.templates:
                return self.templates[key]
        raise DpprofError(
            f"{self.source}: no time for {operation} on pipeline rank {pp_rank}; add it, or choose "
            "a schedule that does not need it"
        )


def timing_from_profile(profile: CostProfile, layers: int | None = None) -> Timing:
    """Timing of chunks of `layers` layers (default: the profile's own).

    An operation that `operation_ns` gives, itself or as a sum (B = I + W, F&B = F + B), is one
    compute event of that length, scaled by the layers. Any other follows from its components:
    see `list_schedule`.
    """
    layers = profile.layers if layers is None else layers
    if layers < 1:
        raise DpprofError(f"layers is {layers}; a chunk has at least 1 layer")
    whole = _with_sums(profile.operation_ns)
    templates = {}
    for operation in OPERATIONS:
        if operation in whole:
            length_ns = round(whole[operation] * layers / profile.layers)
            template = _one_event(operation, length_ns)
        elif profile.component_ns:
            template = list_schedule(profile, operation, layers)
        else:
            continue
        templates[ANY_RANK, operation] = _delayed(template, profile.slot_delay_ns)
    return Timing(templates, profile.message, f"costs {profile.name}")


def _delayed(template: SlotTemplate, delay_ns: int) -> SlotTemplate:
    """The slot with nothing happening for so long at its start."""
    return SlotTemplate(
        template.operation,
        template.length_ns + delay_ns,
        tuple(
            event._replace(start_ns=event.start_ns + delay_ns, end_ns=event.end_ns + delay_ns)
            for event in template.events
        ),
    )


def timing_from_measured(durations_ns: Mapping[tuple[int, str], int]) -> Timing:
    """Timing from durations by ``(pp_rank, operation)``; messages take no time.

    Where a rank has no B (or F&B) of its own, I + W (F + B) stands for it. The simulated step is
    then the least that the schedule allows with the work that was measured.
    """
    ranks = {pp_rank for pp_rank, _ in durations_ns}
    templates = {}
    for rank in ranks:
        own = {
            operation: ns for (pp_rank, operation), ns in durations_ns.items() if pp_rank == rank
        }
        for operation, length_ns in _with_sums(own).items():
            templates[rank, operation] = _one_event(operation, length_ns)
    return Timing(templates)


def _with_sums(operation_ns: Mapping[str, int]) -> dict[str, int]:
    known = dict(operation_ns)
    for operation, parts in _SUMS.items():
        if operation not in known and all(part in known for part in parts):
            known[operation] = sum(known[part] for part in parts)
    return known


def _one_event(operation: str, length_ns: int) -> SlotTemplate:
    if length_ns == 0:
        return SlotTemplate(operation, 0, ())
    member = WHOLE_SLOT if operation == OVERLAPPED_PAIR else 0
    part = operation if operation in ("F", "I", "W") else ""
    event = TemplateEvent(member, part, "", -1, Lane.COMPUTE, 0, length_ns)
    return SlotTemplate(operation, length_ns, (event,))


def list_schedule(profile: CostProfile, operation: str, layers: int) -> SlotTemplate:
    """Run an operation's component program on two lanes, each in program order.

    A step starts when its lane is free and every step it comes after has ended; the slot ends
    with its last step. A serial component needs, and keeps, both lanes. A step that costs nothing
    keeps its place in its lane but gives no event.
    """
    free = dict.fromkeys(Lane, 0)
    serial = frozenset(profile.serial_components)
    ends: list[int] = []
    events = []
    for step in component_program(operation, layers):
        lanes = tuple(Lane) if step.component in serial else (step.lane,)
        start = max([*(free[lane] for lane in lanes), *(ends[before] for before in step.after)])
        cost = _component_ns(profile, operation, step.part.value, step.component.value)
        free |= dict.fromkeys(lanes, start + cost)
        ends.append(start + cost)
        if cost == 0:
            continue
        events.append(
            TemplateEvent(
                step.member,
                step.part.value,
                step.component.value,
                step.layer,
                step.lane,
                start,
                start + cost,
            )
        )
    return SlotTemplate(operation, max(ends), tuple(events))


def _component_ns(profile: CostProfile, operation: str, part: str, component: str) -> int:
    tables: Iterable[Mapping[str, Mapping[str, int]]] = (profile.component_ns,)
    if operation == OVERLAPPED_PAIR:
        tables = (profile.pair_component_ns, profile.component_ns)
    for table in tables:
        if component in table.get(part, {}):
            return table[part][component]
    return 0
