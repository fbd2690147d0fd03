"""Events of slots: every slot's template laid out at the slot's start."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpprof.schedules.components import Lane
from dpprof.simulate.block import COMPONENTS, KINDS, NAMES, PARTS, EventBlock, of_member
from dpprof.simulate.engine import SimulatedStep
from dpprof.simulate.slot_columns import SlotColumns
from dpprof.simulate.timing import SlotTemplate
from dpprof.tables.kinds import COMPUTE


def slot_blocks(step: SimulatedStep, slots: SlotColumns) -> list[EventBlock]:
    """One block for each template in use that has events."""
    templates: list[SlotTemplate] = []
    kinds = np.column_stack([slots.rank, slots.operation, slots.direction])
    _, samples, kind_of_slot = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    used = np.zeros(len(samples), dtype=np.int64)
    first = np.searchsorted(slots.rank, np.arange(step.schedule.pp))
    for kind, row in enumerate(samples.tolist()):
        pp_rank = int(slots.rank[row])
        slot = step.schedule.ranks[pp_rank][row - int(first[pp_rank])]
        template = step.timing.of_slot(pp_rank, slot)
        if template not in templates:
            templates.append(template)
        used[kind] = templates.index(template)
    template_of_slot = used[kind_of_slot.reshape(-1)]
    return [
        _lay_out(template, np.flatnonzero(template_of_slot == number), slots)
        for number, template in enumerate(templates)
        if template.events
    ]


def _lay_out(template: SlotTemplate, rows: npt.NDArray[np.intp], slots: SlotColumns) -> EventBlock:
    """The events of a template at each of the slots `rows`."""
    row = np.repeat(rows, len(template.events)).astype(np.int64)
    member, start, end, lane, kind, name, part, component, layer = np.tile(
        _numbers(template), len(rows)
    )
    unknown = np.full_like(row, -1)
    return EventBlock(
        slot=row,
        rank=slots.rank[row].astype(np.int64),
        start=slots.start[row] + start,
        end=slots.start[row] + end,
        stage=of_member(slots.stage, row, member),
        direction=of_member(slots.direction, row, member),
        micro_batch=of_member(slots.micro_batch, row, member),
        lane=lane,
        kind=kind,
        name=name,
        part=part,
        component=component,
        layer=layer,
        group=np.zeros_like(row),
        peer=unknown,
        bytes=unknown,
        sequence=unknown,
    )


def _numbers(template: SlotTemplate) -> npt.NDArray[np.int64]:
    """Member, start, end, lane, kind, name, part, component and layer: shape (9, events)."""
    rows = []
    for event in template.events:
        compute = event.lane is Lane.COMPUTE
        name = f"{event.component}({event.part})" if event.component else template.operation
        rows.append(
            (
                event.member,
                event.start_ns,
                event.end_ns,
                0 if compute else 1,
                KINDS.index(COMPUTE if compute else event.component),
                NAMES.index(name),
                PARTS.index(event.part),
                COMPONENTS.index(event.component),
                event.layer,
            )
        )
    return np.array(rows, dtype=np.int64).T
