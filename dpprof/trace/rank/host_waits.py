"""Calls that make the host wait for the GPU: in the middle of a pipeline step, each is a gap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.labels import SLOT_LABEL, parse_label
from dpprof.trace.read.columns import Category, Codes, TraceColumns

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
    pageable memory count too, whatever they are called. What other threads than the one that
    holds the slots wait for (messages through the host) holds up nobody. Without slots in the
    trace all of it is looked at.
    """
    launches = trace.rows(Category.LAUNCH)
    waits = np.array([name in _WAITS or name in _COPIES for name in trace.names], dtype=bool)
    staged = np.isin(trace.correlation[launches], _pageable(trace))
    rows = launches[waits[trace.name[launches]] | staged]
    slots, threads = _slots(trace)
    if slots:
        rows = rows[np.isin(trace.thread[rows], threads)]
    phases = _steady(slots) if slots else [(-(2**62), 2**62)]
    found = [
        (trace.names[trace.name[row]], start, int(trace.end_ns[row]), _slot_at(slots, start))
        for row in rows
        for start in [int(trace.start_ns[row])]
        if any(begin <= start < end for begin, end in phases)
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values(START, ignore_index=True)


def wait_warning(trace: TraceColumns) -> str | None:
    """What the waits of a labelled pipeline cost, in words; None where there are none."""
    waits = host_waits(trace) if _slots(trace)[0] else pd.DataFrame()
    if waits.empty:
        return None
    lengths = waits[END] - waits[START]
    worst = waits.iloc[int(lengths.to_numpy().argmax())]
    return (
        f"the host waits for the GPU {len(waits)} times in the steady phase, "
        f"{lengths.sum() / 1e6:.2f} ms in all, longest in {worst[SLOT]} ({worst[NAME]}): "
        "launches after it come late; see docs/reference.md"
    )


def _pageable(trace: TraceColumns) -> npt.NDArray[np.int64]:
    """Correlations of copies that CUDA must stage, so that the call waits for the stream."""
    copies = trace.rows(Category.MEMCPY)
    named = np.array([_PAGEABLE in name for name in trace.names], dtype=bool)
    found: npt.NDArray[np.int64] = trace.correlation[copies[named[trace.name[copies]]]]
    return found[found >= 0]


def _slots(trace: TraceColumns) -> tuple[list[tuple[int, int, str]], Codes]:
    """Start, end and text of the schedule's slots, in order; the threads that they are on."""
    texts = {
        number: label.slot
        for number, name in enumerate(trace.names)
        if (label := parse_label(name)) is not None and label.kind == SLOT_LABEL
    }
    rows = trace.rows(Category.ANNOTATION, Category.OPERATOR)  # torch writes either
    rows = rows[np.isin(trace.name[rows], list(texts))]
    slots = sorted(
        (int(trace.start_ns[row]), int(trace.end_ns[row]), texts[int(trace.name[row])])
        for row in rows
    )
    return slots, np.unique(trace.thread[rows])


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
