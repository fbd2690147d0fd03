"""Calls that make the host wait for the GPU: in the middle of a pipeline step, each is a gap."""

from __future__ import annotations

import pandas as pd

from dpprof.tables.labels import SLOT_LABEL, parse_label
from dpprof.trace.raw import Category, TraceColumns

NAME = "name"
START = "start_ns"
END = "end_ns"
SLOT = "slot"

COLUMNS = {NAME: "string", START: "int64", END: "int64", SLOT: "string"}

_WAITS = (
    "cudaDeviceSynchronize",
    "cudaStreamSynchronize",
    "cudaEventSynchronize",
    "cuCtxSynchronize",
    "cuStreamSynchronize",
    "cuEventSynchronize",
    "hipDeviceSynchronize",
    "hipStreamSynchronize",
    "hipEventSynchronize",
)
_COPIES = ("cudaMemcpy", "cudaMemcpy2D", "cuMemcpyDtoH_v2", "cuMemcpyHtoD_v2", "hipMemcpy")
"""Copies that return when they are done; those that end in Async do not, between pinned memory."""

_PAGEABLE = "Pageable"


def host_waits(trace: TraceColumns) -> pd.DataFrame:
    """The waiting calls of a rank's steady phase: name, start, end and the slot they fall into.

    The steady phase of each step goes from the first slot with a backward to the end of the last
    one with a forward: before and after, the pipeline fills and drains anyway. Copies to or from
    pageable memory count too, whatever they are called. Without slots in the trace all of it is
    looked at.
    """
    launches = trace.rows(Category.LAUNCH)
    pageable = _pageable(trace)
    rows = [
        row
        for row in launches
        if (name := trace.names[trace.name[row]]) in _WAITS
        or name in _COPIES
        or int(trace.correlation[row]) in pageable
    ]
    slots = _slots(trace)
    phases = _steady(slots) if slots else [(-(2**62), 2**62)]
    found = [
        (trace.names[trace.name[row]], start, int(trace.end_ns[row]), _slot_at(slots, start))
        for row in rows
        for start in [int(trace.start_ns[row])]
        if any(begin <= start < end for begin, end in phases)
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(START, ignore_index=True)


def _pageable(trace: TraceColumns) -> set[int]:
    """Correlations of copies that CUDA must stage, so that the call waits for the stream."""
    return {
        int(trace.correlation[row])
        for row in trace.rows(Category.MEMCPY)
        if _PAGEABLE in trace.names[trace.name[row]]
    } - {-1}


def _slots(trace: TraceColumns) -> list[tuple[int, int, str]]:
    """Start, end and text of the schedule's slots, in order."""
    texts = {
        number: label.slot
        for number, name in enumerate(trace.names)
        if (label := parse_label(name)) is not None and label.kind == SLOT_LABEL
    }
    return sorted(
        (int(trace.start_ns[row]), int(trace.end_ns[row]), texts[int(trace.name[row])])
        for row in trace.rows(Category.ANNOTATION)
        if int(trace.name[row]) in texts
    )


def _steady(slots: list[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """A phase for each step; a step ends where a slot comes round again."""
    steps: list[list[tuple[int, int, str]]] = []
    seen: set[str] = set()
    for slot in slots:
        if not steps or slot[2] in seen:
            steps.append([])
            seen = set()
        steps[-1].append(slot)
        seen.add(slot[2])
    phases = []
    for step in steps:
        starts = [start for start, _, text in step if "B" in text or "I" in text]
        ends = [end for _, end, text in step if "F" in text]
        if starts and ends and starts[0] < ends[-1]:
            phases.append((starts[0], ends[-1]))
    return phases


def _slot_at(slots: list[tuple[int, int, str]], at_ns: int) -> str:
    return next((text for start, end, text in slots if start <= at_ns < end), "")
