"""The schedule slots of one rank: when each ran."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.tables.columns import (
    END,
    KIND,
    OPERATION,
    RANK,
    SLOT,
    SLOTS,
    START,
    STEP,
    empty_table,
    make_table,
)
from dpprof.trace.activities.annotations import Family, read_annotations
from dpprof.trace.activities.find import Activities, host_rows
from dpprof.trace.activities.launch_context import FAMILY, counted, overruled
from dpprof.trace.activities.steps import OUTSIDE, Marks
from dpprof.trace.read.columns import TraceColumns


def slots_table(
    trace: TraceColumns, activities: Activities, marks: Marks, events: pd.DataFrame
) -> pd.DataFrame:
    """The SLOTS table of one rank; `events` is its events table.

    On a GPU a slot runs from the start of the first to the end of the last activity that was
    launched in it; on a CPU it is the span of its label.
    """
    if activities.on_gpu:
        return _from_events(events)
    fields = read_annotations(trace.names, range(len(trace.names)))
    written = fields[FAMILY].isin([Family.SLOT, Family.PIPELINING]) & (fields[SLOT] != "")
    known = fields[written | (fields[FAMILY] == Family.COUNTED)]
    wanted = np.zeros(len(trace.names), dtype=bool)
    wanted[known.index] = True
    rows = host_rows(trace, wanted)
    rows = rows[~overruled(trace, fields, rows)]
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    if not len(rows):
        return empty_table(SLOTS)
    ran = known.loc[trace.name[rows]]
    counts = counted(trace, fields, rows, marks)[rows]
    by_count = ran[OPERATION].astype(str) + "0." + counts.astype(str).astype(object)
    slots = np.where(counts >= 0, by_count, ran[SLOT].astype(str))
    marked = len(marks.step) > 0
    return make_table(
        SLOTS,
        {
            RANK: events[RANK].iloc[0] if len(events) else 0,
            STEP: marks.step_at(trace.start_ns[rows]) if marked else np.zeros(len(rows), np.int32),
            START: trace.start_ns[rows],
            END: trace.end_ns[rows],
            SLOT: slots,
            OPERATION: ran[OPERATION].to_numpy(),
        },
    )


def _from_events(events: pd.DataFrame) -> pd.DataFrame:
    """Messages of the pipeline may be launched in a slot and still be under way long after it."""
    own = (events[SLOT] != "") & (events[KIND] != "p2p")
    inside = events[own & (events[STEP] != OUTSIDE)]
    if inside.empty:
        return empty_table(SLOTS)
    keys = [RANK, STEP, SLOT, OPERATION]
    spans = inside.groupby(keys, observed=True).agg({START: "min", END: "max"}).reset_index()
    spans = spans.sort_values(START, kind="stable")
    return make_table(SLOTS, {name: spans[name].to_numpy() for name in SLOTS})
