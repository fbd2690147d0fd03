"""The memory curve of one rank, from Kineto's ``[memory]`` events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import (
    ACTIVATIONS,
    ALLOCATED,
    AT,
    MEMORY,
    RANK,
    RESERVED,
    STEP,
    empty_table,
    make_table,
)
from dpprof.trace.activities.steps import Marks
from dpprof.trace.memory.usage import activation_bytes, follow_addresses
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.read.columns import Codes, MemoryColumns, Rows, TraceColumns

_NO_ADDRESS = -1
_HOST = 0
"""Kineto's device type; 1 is CUDA, 6 HIP, and everything else a device of another make."""


def memory_table(
    trace: TraceColumns, on_gpu: bool, marks: Marks, identity: TraceIdentity, slots: pd.DataFrame
) -> pd.DataFrame:
    """The MEMORY table: of the device that the rank uses on a GPU run, else of the host.

    `slots` are the rank's own, on its host: with them, and where the events name addresses,
    activations are told from the rest.

    On a CPU Kineto counts from the start of the profiler; what was allocated before is added
    where our own metadata say it. Traces of PyTorch 1.8 and 1.9 give only changes: these are
    summed, and counted from their lowest point, so the curve is a lower bound.
    """
    memory = trace.memory
    rows = _rows(memory, on_gpu)
    if not len(rows):
        return empty_table(MEMORY)
    at = memory.at_ns[rows]
    allocated = memory.allocated_bytes[rows]
    if (allocated < 0).any():
        running = np.cumsum(memory.change_bytes[rows])
        allocated = running - min(0, int(running.min()))
    before = 0 if on_gpu else identity.allocated_before_bytes
    step = marks.step_at(at) if len(marks.step) else np.zeros(len(at), np.int32)
    reserved = memory.reserved_bytes[rows] if on_gpu else np.full(len(rows), -1)
    return make_table(
        MEMORY,
        {
            RANK: identity.row,
            STEP: step,
            AT: at,
            ALLOCATED: allocated + before,
            RESERVED: reserved,
            ACTIVATIONS: _activations(memory, rows, slots, step),
        },
    )


def _activations(
    memory: MemoryColumns, rows: Rows, slots: pd.DataFrame, step: Codes
) -> npt.NDArray[np.int64]:
    """Bytes of activations at each of `rows`; -1 where nothing tells them."""
    address, change = memory.address[rows], memory.change_bytes[rows]
    if slots.empty or (address == _NO_ADDRESS).any():
        return np.full(len(rows), -1, dtype=np.int64)
    allocations = follow_addresses(address, change)
    return activation_bytes(allocations, memory.at_ns[rows], slots, step)


def memory_doubts(trace: TraceColumns, on_gpu: bool) -> list[str]:
    """What the curve of `memory_table` does not say, as warnings."""
    rows = _rows(trace.memory, on_gpu)
    if (trace.memory.allocated_bytes[rows] >= 0).all():
        return []
    return [
        "the memory events give changes, not totals: the memory curve leaves out "
        "what was allocated before them, and its peak is a lower bound"
    ]


def _rows(memory: MemoryColumns, on_gpu: bool) -> Rows:
    """The events of the one device with the most, by time; on a CPU run of the host."""
    kept = (memory.device_type != _HOST) if on_gpu else (memory.device_type == _HOST)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return rows
    device = memory.device_type[rows].astype(np.int64) * 2**32 + memory.device[rows]
    which, devices = pd.factorize(device, sort=True)
    rows = rows[which == np.argmax(np.bincount(which, minlength=len(devices)))]
    in_time: Rows = rows[np.argsort(memory.at_ns[rows], kind="stable")]
    return in_time
