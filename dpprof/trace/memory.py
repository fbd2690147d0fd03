"""The memory curve of one rank, from Kineto's ``[memory]`` events."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.tables.columns import (
    ALLOCATED,
    AT,
    MEMORY,
    RANK,
    RESERVED,
    STEP,
    empty_table,
    make_table,
)
from dpprof.trace.identity import Identity
from dpprof.trace.raw import TraceColumns
from dpprof.trace.steps import Marks

_HOST = 0


def memory_table(
    trace: TraceColumns, on_gpu: bool, marks: Marks, identity: Identity
) -> pd.DataFrame:
    """The MEMORY table: of the device that the rank uses on a GPU run, else of the host.

    On a CPU Kineto counts from the start of the profiler; what was allocated before is added
    where our own metadata say it. Traces of PyTorch 1.8 and 1.9 give only changes: these are
    summed, and counted from their lowest point, so the curve is a lower bound.
    """
    memory = trace.memory
    kept = (memory.device_type != _HOST) if on_gpu else (memory.device_type == _HOST)
    if on_gpu and kept.any():
        devices, counts = np.unique(memory.device[kept], return_counts=True)
        kept &= memory.device == devices[np.argmax(counts)]
    rows = np.flatnonzero(kept)
    if not len(rows):
        return empty_table(MEMORY)
    rows = rows[np.argsort(memory.at_ns[rows], kind="stable")]
    at = memory.at_ns[rows]
    allocated = memory.allocated_bytes[rows]
    if (allocated < 0).any():
        running = np.cumsum(memory.change_bytes[rows])
        allocated = running - min(0, int(running.min()))
    before = 0 if on_gpu else identity.allocated_before_bytes
    reserved = memory.reserved_bytes[rows] if on_gpu else np.full(len(rows), -1)
    return make_table(
        MEMORY,
        {
            RANK: identity.rank,
            STEP: marks.step_at(at) if len(marks.step) else np.zeros(len(at), np.int32),
            AT: at,
            ALLOCATED: allocated + before,
            RESERVED: reserved,
        },
    )
