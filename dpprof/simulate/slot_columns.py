"""The slots of a simulated step as columns, one row per slot, rank by rank in running order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.schedules.actions import slot_operation, slot_text
from dpprof.simulate.block import category
from dpprof.simulate.engine import SimulatedStep
from dpprof.simulate.timing import OPERATIONS
from dpprof.tables import columns

Codes = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]

_OPERATION_CODES = {operation: code for code, operation in enumerate(OPERATIONS)}


@dataclass(frozen=True)
class SlotColumns:
    """Arrays of one length; those of shape (slots, 2) have a column per action of the slot.

    `operation` are positions in `OPERATIONS`, `text` are codes into `texts`. The second column
    of `direction`, `micro_batch` and `stage` is -1 where the slot is no pair.
    """

    rank: Codes
    start: Times
    end: Times
    operation: Codes
    text: Codes
    texts: tuple[str, ...]
    direction: Codes
    micro_batch: Codes
    stage: Codes


def slot_columns(step: SimulatedStep) -> SlotColumns:
    """All slots of a step."""
    schedule = step.schedule
    slots = [(rank, slot) for rank, slots in enumerate(schedule.ranks) for slot in slots]
    texts: dict[str, int] = {}
    actions = np.full((3, len(slots), 2), -1, dtype=np.int32)
    for row, (rank, slot) in enumerate(slots):
        for member, action in enumerate(slot):
            stage = schedule.stage(rank, action.direction)
            actions[:, row, member] = action.direction, action.micro_batch, stage
    return SlotColumns(
        rank=np.array([rank for rank, _ in slots], dtype=np.int32),
        start=np.concatenate(step.starts_ns),
        end=np.concatenate(step.ends_ns),
        operation=np.array([_OPERATION_CODES[slot_operation(slot)] for _, slot in slots], np.int32),
        text=np.array(
            [texts.setdefault(slot_text(slot), len(texts)) for _, slot in slots], np.int32
        ),
        texts=tuple(texts),
        direction=actions[0],
        micro_batch=actions[1],
        stage=actions[2],
    )


def slots_table(slots: SlotColumns) -> pd.DataFrame:
    """The slots table of a run (`dpprof.tables.columns.SLOTS`), step 0."""
    values: dict[str, object] = {
        columns.RANK: slots.rank,
        columns.STEP: np.zeros(len(slots.rank), dtype=np.int32),
        columns.START: slots.start,
        columns.END: slots.end,
        columns.SLOT: category(slots.text, slots.texts),
        columns.OPERATION: category(slots.operation, OPERATIONS),
    }
    return columns.make_table(columns.SLOTS, values)
