"""The chunks whose activations a rank holds, over time: from their forward to their backward."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from dpprof.analysis.events.slot_names import read_slot
from dpprof.runs.host_slots import host_slots
from dpprof.runs.run import Run
from dpprof.schedules.actions import Operation, Slot
from dpprof.tables.columns import (
    AT,
    CHUNKS,
    DIRECTION,
    END,
    IN_FLIGHT,
    RANK,
    SLOT,
    START,
    STEP,
    empty_table,
    make_table,
)

_FREES = (Operation.BACKWARD, Operation.WEIGHT_GRADIENT)


def in_flight_curve(run: Run, rank: int) -> pd.DataFrame:
    """Chunks in flight on a rank over the used steps (columns `IN_FLIGHT`), by step and time.

    A chunk is held from the start of its forward until its last backward has ended; times are
    the host's, as those of the memory curve. Empty where there are no slots, or where a training
    loop has named them in its own way.
    """
    slots = host_slots(run, rank)
    slots = slots[slots[STEP].isin(run.used_steps)]
    read = {text: read_slot(text) for text in slots[SLOT].astype(str).unique()}
    if not read or None in read.values():
        return empty_table(IN_FLIGHT)
    keys = [STEP, DIRECTION, AT]
    changes = pd.DataFrame(_changes(slots, read), columns=[*keys, CHUNKS])
    at_once = changes.groupby(keys)[CHUNKS].sum()
    curve = at_once.groupby(level=[STEP, DIRECTION]).cumsum().reset_index()
    curve = curve.sort_values([STEP, AT, DIRECTION], ignore_index=True)
    return make_table(IN_FLIGHT, {RANK: rank, **{name: curve[name] for name in (*keys, CHUNKS)}})


def _changes(
    slots: pd.DataFrame, read: dict[str, Slot | None]
) -> Iterator[tuple[int, int, int, int]]:
    """Step, direction, instant and change for every action that takes or frees a chunk."""
    columns = [slots[name].tolist() for name in (STEP, SLOT, START, END)]
    for step, text, start, end in zip(*columns, strict=True):
        for action in read[str(text)] or ():
            if action.operation is Operation.FORWARD:
                yield step, action.direction, start, 1
            elif action.operation in _FREES:
                yield step, action.direction, end, -1
