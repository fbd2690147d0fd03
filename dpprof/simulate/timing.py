"""How long slots and messages take, from a cost profile or from measured slot durations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from dpprof.costs.profile import CostProfile, LayerCost, MessageCost
from dpprof.costs.stages import Chunk
from dpprof.errors import DpprofError
from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation, Slot, slot_operation
from dpprof.schedules.components import Lane, component_program

OPERATIONS = (*(operation.value for operation in Operation), OVERLAPPED_PAIR)
"""Operations of slots, in the order of their codes in simulated columns."""

ANY_RANK = -1
WHOLE_SLOT = -1
"""The `member` of an event that stands for a whole overlapped pair."""

_NONE = Fraction(0)
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
    """Slot templates by ``(pp_rank or ANY_RANK, operation)``, and the cost of a message.

    `staged` holds those of ranks whose stages differ, by ``(pp_rank, operation, directions)``.
    """

    templates: Mapping[tuple[int, str], SlotTemplate]
    message: MessageCost = field(default_factory=MessageCost)
    source: str = "measured durations"
    staged: Mapping[tuple[int, str, tuple[int, ...]], SlotTemplate] = field(default_factory=dict)

    def of_slot(self, pp_rank: int, slot: Slot) -> SlotTemplate:
        """The template of a slot of a rank; raises `DpprofError` where none is known."""
        operation = slot_operation(slot)
        key = (pp_rank, operation, tuple(action.direction for action in slot))
        return self.staged.get(key) or self.template(pp_rank, operation)

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
    """Timing of chunks of `layers` layers (default: the profile's own), all of them alike.

    An operation that `operation_ns` gives, itself or as a sum (B = I + W, F&B = F + B), is one
    compute event of that length, scaled by the layers. Any other follows from its components:
    see `list_schedule`.
    """
    layers = profile.layers if layers is None else layers
    if layers < 1:
        raise DpprofError(f"layers is {layers}; a chunk has at least 1 layer")
    chunk = (LayerCost(),) * layers
    templates = {}
    for operation in OPERATIONS:
        template = slot_template(profile, operation, chunk)
        if template is not None:
            templates[ANY_RANK, operation] = template
    return Timing(templates, profile.message, f"costs {profile.name}")


def slot_template(
    profile: CostProfile, operation: str, chunk: Chunk, backward: Chunk | None = None
) -> SlotTemplate | None:
    """A slot of a chunk with these layers; None where the profile lacks the operation.

    The backward of a pair may be of another chunk, `backward`.
    """
    backward = chunk if backward is None else backward
    if operation in _with_sums(profile.operation_ns):
        length_ns = _whole_ns(profile, operation, chunk, backward)
        return _delayed(_one_event(operation, length_ns), profile.slot_delay_ns)
    if not _has_components(profile):
        return None
    template = _list_schedule(profile, operation, chunk, backward)
    return _delayed(template, profile.slot_delay_ns)


def _has_components(profile: CostProfile) -> bool:
    return bool(profile.component_ns or any(layer.component_ns for layer in profile.model))


def _whole_ns(profile: CostProfile, operation: str, chunk: Chunk, backward: Chunk) -> int:
    """Sum over layers; a pair of unlike chunks is half a pair of the one, half of the other."""
    chunks = (chunk, backward) if operation == OVERLAPPED_PAIR else (chunk,)
    layers = Counter(layer for one in chunks for layer in map(id, one))
    known = {id(layer): layer for one in chunks for layer in one}
    whole = sum(_layer_ns(profile, known[key], operation) * n for key, n in layers.items())
    return round(whole / len(chunks))


def _layer_ns(profile: CostProfile, layer: LayerCost, operation: str) -> Fraction:
    """Time of one layer; a sum that the layer does not give changes as its parts do."""
    plain = {
        key: Fraction(ns, profile.layers) for key, ns in _with_sums(profile.operation_ns).items()
    }
    own = {key: Fraction(ns) for key, ns in layer.operation_ns.items()}
    for whole, parts in _SUMS.items():
        if whole not in own and whole in plain and any(part in own for part in parts):
            before = sum((plain.get(part, _NONE) for part in parts), _NONE)
            after = sum((own.get(part, plain.get(part, _NONE)) for part in parts), _NONE)
            own[whole] = plain[whole] * after / before if before else after
    return own.get(operation, plain[operation])


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
    chunk = (LayerCost(),) * layers
    return _list_schedule(profile, operation, chunk, chunk)


def _list_schedule(
    profile: CostProfile, operation: str, chunk: Chunk, backward: Chunk
) -> SlotTemplate:
    free = dict.fromkeys(Lane, 0)
    serial = frozenset(profile.serial_components)
    costs = _ComponentCosts(profile, operation == OVERLAPPED_PAIR)
    ends: list[int] = []
    events = []
    for step in component_program(operation, len(chunk), len(backward)):
        lanes = tuple(Lane) if step.component in serial else (step.lane,)
        start = max([*(free[lane] for lane in lanes), *(ends[before] for before in step.after)])
        layer = (backward if step.member else chunk)[step.layer]
        cost = costs.of(layer, step.part.value, step.component.value)
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


class _ComponentCosts:
    """Looks up what a component of a layer takes: its own figure first, inside pairs of pairs."""

    def __init__(self, profile: CostProfile, paired: bool) -> None:
        self._profile, self._paired = profile, paired

    def of(self, layer: LayerCost, part: str, component: str) -> int:
        """Nanoseconds; 0 where nothing is known.

        Inside a pair: what the layer takes there, else what it takes outside, longer by as much
        as any layer's is; else the profile's.
        """
        own = layer.component_ns.get(part, {}).get(component)
        plain = self._profile.component_ns.get(part, {}).get(component)
        if not self._paired:
            return (plain or 0) if own is None else own
        own_pair = layer.pair_component_ns.get(part, {}).get(component)
        pair = self._profile.pair_component_ns.get(part, {}).get(component)
        if own_pair is not None:
            return own_pair
        if own is None:
            return (plain or 0) if pair is None else pair
        return round(own * pair / plain) if pair is not None and plain else own
