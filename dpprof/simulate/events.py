"""The events table of a simulated step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.simulate.block import COMPONENTS, KINDS, NAMES, PARTS, category, join_blocks, lane_names
from dpprof.simulate.engine import SimulatedStep
from dpprof.simulate.message_events import message_blocks, number_edges
from dpprof.simulate.slot_columns import SlotColumns
from dpprof.simulate.slot_events import slot_blocks
from dpprof.simulate.timing import OPERATIONS
from dpprof.tables import columns


def events_table(step: SimulatedStep, slots: SlotColumns) -> pd.DataFrame:
    """All events of a step (`dpprof.tables.columns.EVENTS`), sorted by rank and start.

    A component (or a whole slot that has no components) is one event on its lane. A message is
    one event on the sender's rank (lane ``send >q``) and one on the receiver's (``recv <p``),
    both while it travels; both name the slot, action and stage that made it. Nothing waits inside
    an event, so `ready_ns` is the start.
    """
    block = join_blocks([*slot_blocks(step, slots), *message_blocks(step, slots)])
    values: dict[str, object] = {
        columns.RANK: block.rank,
        columns.STAGE: block.stage,
        columns.LANE: category(block.lane, lane_names(step.schedule.pp)),
        columns.START: block.start,
        columns.END: block.end,
        columns.KIND: category(block.kind, KINDS),
        columns.NAME: category(block.name, NAMES),
        columns.STEP: np.zeros(len(block.rank), dtype=np.int32),
        columns.SLOT: category(slots.text[block.slot], slots.texts),
        columns.OPERATION: category(slots.operation[block.slot], OPERATIONS),
        columns.DIRECTION: block.direction,
        columns.MICRO_BATCH: block.micro_batch,
        columns.PART: category(block.part, PARTS),
        columns.COMPONENT: category(block.component, COMPONENTS),
        columns.LAYER: block.layer,
        columns.GROUP: category(block.group, number_edges(step.messages)[0]),
        columns.PEER: block.peer,
        columns.BYTES: block.bytes,
        columns.SEQUENCE: block.sequence,
        columns.READY: block.start,
    }
    return columns.make_table(columns.EVENTS, values)
