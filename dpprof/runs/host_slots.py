"""When the host was in each schedule slot: what memory is allocated in, ahead of the device."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.runs.run import Run
from dpprof.tables.columns import (
    END,
    LAUNCH,
    OPERATION,
    RANK,
    SLOT,
    SLOTS,
    START,
    STEP,
    make_table,
)


def host_slots(run: Run, rank: int) -> pd.DataFrame:
    """The slots of a rank (columns `SLOTS`) on its host, by start; they do not overlap.

    On a GPU the host allocates for a kernel just before it launches it: a slot goes from the last
    launch of the slot before (of the first launch, for the first of a step) to its own last
    launch. On a CPU, and where nothing is launched, host and device are one.
    """
    return on_host(run.slots[run.slots[RANK] == rank], run.held.of_rank(rank))


def on_host(slots: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The same from the `slots` and `events` of one rank."""
    launched = events[(events[LAUNCH] >= 0) & (events[SLOT] != "") & (events[STEP] >= 0)]
    if launched.empty:
        return slots.sort_values(START, kind="stable")
    keys = [STEP, SLOT, OPERATION]
    spans = launched.groupby(keys, observed=True)[LAUNCH].agg(["min", "max"]).reset_index()
    spans = spans.sort_values("max", kind="stable")
    before = spans.groupby(STEP)["max"].shift(fill_value=-1).to_numpy()
    start = np.where(before >= 0, before, spans["min"])
    return make_table(
        SLOTS,
        {
            RANK: launched[RANK].iloc[0],
            STEP: spans[STEP].to_numpy(),
            START: start,
            END: spans["max"].to_numpy() + 1,
            SLOT: spans[SLOT].to_numpy(),
            OPERATION: spans[OPERATION].to_numpy(),
        },
    )
