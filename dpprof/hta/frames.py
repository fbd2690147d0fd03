"""One rank of a run as the data frame that HTA 0.5.0 makes of a trace.

What the device did is the run's own events table, on its clock and with its kinds; what the host
did (operators, annotations, launches) is not in there and comes from the rank's trace.
Times are microseconds from the start of the run, exact to the nanosecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.tables.columns import BYTES, CORRELATION, END, KIND, LANE, NAME, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS, MEMORY
from dpprof.trace.activities.find import find_activities
from dpprof.trace.activities.possible_times import checked
from dpprof.trace.activities.steps import find_marks
from dpprof.trace.read.columns import Category, Nanoseconds, Rows, TraceColumns
from dpprof.trace.read.parse import read_trace

COMMUNICATION = "communication"
COMPUTATION = "computation"
CLASS = "class"

CATEGORIES = {
    Category.KERNEL: "kernel",
    Category.MEMCPY: "gpu_memcpy",
    Category.MEMSET: "gpu_memset",
    Category.LAUNCH: "cuda_runtime",
    Category.ANNOTATION: "user_annotation",
    Category.OPERATOR: "cpu_op",
    Category.SYNC: "cuda_sync",
}
"""How HTA calls them, on whatever device; drivers' launches are launches too."""

_HOST = (Category.LAUNCH, Category.ANNOTATION, Category.OPERATOR)
_NO_STREAM = -1
FIRST_INDEX = 1
"""HTA takes a link to event 0 for none."""


@dataclass(frozen=True)
class _Source:
    """A rank's trace beside its events: ``rows[i]`` is the trace's row of event i."""

    trace: TraceColumns
    rows: Rows
    shift_ns: Nanoseconds  # from the trace's clock to the run's, per row of the trace


def rank_frame(run: Run, rank: int, origin_ns: int) -> pd.DataFrame:
    """The used steps of a rank: columns as HTA's, but names and categories still as text.

    The extra column ``class`` says whether a device row is communication, memory or computation.
    Of a run without trace files (a simulated one) there is only what the device did. Raises
    `DpprofError` where the trace is gone, or has changed since the run was read from it.
    """
    events = run.held.of_rank(rank)
    file = run.files.get(rank)
    source = None if file is None else _read(file, events)
    device = _device_rows(events, source)
    device = device[device["iteration"].isin(run.used_steps)]
    parts = [device] if source is None else [device, _host_rows(source, run)]
    frame = pd.concat(parts, ignore_index=True).sort_values("index", ignore_index=True)
    start_ns, end_ns = frame.pop(START), frame.pop(END)
    frame["ts"] = (start_ns - origin_ns) / 1000.0
    frame["dur"] = (end_ns - start_ns) / 1000.0
    frame["end"] = (end_ns - origin_ns) / 1000.0
    # Of synchronisation events, which are not read; HTA asks for the columns.
    return frame.assign(wait_on_stream=-1, wait_on_cuda_event_record_corr_id=-1)


def _read(file: Path, events: pd.DataFrame) -> _Source:
    trace = checked(read_trace(file)).trace
    rows = find_activities(trace).rows
    if len(rows) != len(events):
        raise DpprofError(f"{file}: has changed since the run was read from it; load the run again")
    shift_ns = np.zeros(len(trace.start_ns), dtype=np.int64)
    if len(rows):
        order = np.argsort(trace.start_ns[rows], kind="stable")
        at = trace.start_ns[rows][order]
        shifts = events[START].to_numpy(np.int64)[order] - at
        since = (trace.start_ns - at[0]).astype(np.float64)
        shift_ns = np.rint(np.interp(since, at - at[0], shifts)).astype(np.int64)
    return _Source(trace, rows, shift_ns)


def _device_rows(events: pd.DataFrame, source: _Source | None) -> pd.DataFrame:
    kinds, starts, ends = events[KIND].astype(str), events[START], events[END]
    classes = np.where(kinds.isin(COMMUNICATION_KINDS), COMMUNICATION, COMPUTATION).astype(object)
    classes[kinds == MEMORY] = MEMORY
    stream = _streams(events[LANE])
    index = np.arange(len(events)) if source is None else source.rows
    category = np.where(kinds == MEMORY, CATEGORIES[Category.MEMCPY], CATEGORIES[Category.KERNEL])
    lengths = (ends - starts).to_numpy(np.float64)
    sent = events[BYTES].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bandwidth = np.where((classes == MEMORY) & (sent >= 0) & (lengths > 0), sent / lengths, 0.0)
    return pd.DataFrame(
        {
            "index": index + FIRST_INDEX,
            "cat": category,
            "name": events[NAME].astype(str).to_numpy(object),
            "pid": 0,
            "tid": stream,
            "stream": stream,
            "correlation": events[CORRELATION].to_numpy(np.int64),
            "iteration": events[STEP].to_numpy(np.int64),
            "memory_bw_gbps": bandwidth,
            START: starts.to_numpy(np.int64),
            END: ends.to_numpy(np.int64),
            CLASS: classes,
        }
    )


def _streams(lanes: pd.Series) -> npt.NDArray[np.int64]:
    """The number in ``stream 7``; lanes of another kind are numbered from 1."""
    written = lanes.astype(str).str.extract(r"stream (\d{1,9})$")[0]
    if written.notna().all():
        return written.to_numpy(np.int64)
    return (pd.factorize(lanes.astype(str))[0] + 1).astype(np.int64)


def _host_rows(source: _Source, run: Run) -> pd.DataFrame:
    trace = source.trace
    rows = np.setdiff1d(trace.rows(*_HOST), source.rows)
    marks = find_marks(trace)
    iteration = np.zeros(len(rows), dtype=np.int64)
    if len(run.steps):
        iteration = marks.step_at(trace.start_ns[rows]).astype(np.int64)
        kept = np.isin(iteration, run.used_steps)
        rows, iteration = rows[kept], iteration[kept]
    threads = np.array([[_number(pid), _number(tid)] for pid, tid in trace.threads], dtype=np.int64)
    thread = threads.reshape(-1, 2)[trace.thread[rows]]
    categories = np.array([CATEGORIES[category] for category in Category], dtype=object)
    names = np.array([*trace.names, ""], dtype=object)
    shift_ns = source.shift_ns[rows]
    return pd.DataFrame(
        {
            "index": rows + FIRST_INDEX,
            "cat": categories[trace.category[rows]],
            "name": names[trace.name[rows]],
            "pid": thread[:, 0],
            "tid": thread[:, 1],
            "stream": _NO_STREAM,
            "correlation": trace.correlation[rows],
            "iteration": iteration,
            "memory_bw_gbps": 0.0,
            START: trace.start_ns[rows] + shift_ns,
            END: trace.end_ns[rows] + shift_ns,
            CLASS: "",
        }
    )


def _number(text: str) -> int:
    """A process or thread as a number; one that is a word gets a number from its letters."""
    if text.lstrip("-").isdecimal() and len(text) < 18:
        return int(text)
    return int.from_bytes(text.encode()[:6].ljust(6), "big")
