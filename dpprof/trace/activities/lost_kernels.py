"""Launches whose kernels are not in the trace: a full buffer, or a profiler without a device."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dpprof.evidence.evidence import DEVICE_TIME, STEP_TIME
from dpprof.trace.activities.faults import Fault
from dpprof.trace.activities.marks import read_marks
from dpprof.trace.activities.nesting import innermost
from dpprof.trace.activities.only_hosts import NO_DEVICE, only_hosts
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Category,
    Mask,
    Nanoseconds,
    Rows,
    TraceColumns,
)

LOST = "lost-kernels"
_LAUNCH = re.compile(r"Launch(?:Cooperative)?Kernel|KernelLaunch", re.IGNORECASE)
_GRAPH = re.compile(r"GraphLaunch", re.IGNORECASE)
_BEGIN, _END = "StreamBeginCapture", "StreamEndCapture"


def lost_kernels(trace: TraceColumns, elsewhere: Nanoseconds | None = None) -> list[Fault]:
    """At most one fault: launches in the marked steps without kernels, or all without.

    A graph launch counts by the kernels of its other replays. What is launched while a graph is
    captured does not run, and is not missed. `elsewhere` are the correlations of work that is not
    in this trace, but known.
    """
    work = trace.rows(*DEVICE_CATEGORIES)
    kernels, graphs = _launches(trace)
    launches = len(kernels) + len(graphs)
    if not len(work):
        return [_no_device(launches)] if launches else only_hosts(trace)
    own = trace.correlation[work]
    known = own if elsewhere is None else np.append(own, elsewhere)
    lost = int((~_among(trace.correlation[kernels], known)).sum())
    replayed = _among(trace.correlation[graphs], known)
    missing = int((~replayed).sum())
    if not lost and not missing:
        return []
    correlations, counts = np.unique(own, return_counts=True)
    found = np.isin(correlations, trace.correlation[graphs])
    each = round(float(np.median(counts[found]))) if found.any() else 1
    words = [f"{lost} of {len(kernels)} kernel launches have no kernel in the trace"] * bool(lost)
    if missing:
        words.append(
            f"{missing} of {len(graphs)} graph launches have no kernels in the trace (others have "
            f"{each} each)"
        )
    total = lost + missing * each
    return [
        Fault(
            LOST,
            total,
            total + len(work),
            (*DEVICE_TIME, *STEP_TIME),
            f"{' and '.join(words)}: they were lost (a full buffer?), so that times of the device "
            "are at least what is shown, and bubbles at most; profile fewer steps",
        )
    ]


def _among(numbers: Nanoseconds, known: Nanoseconds) -> Mask:
    """Which numbers are known: by a table of hashes, where numpy would sort out all doubles."""
    found: Mask = pd.Series(numbers).isin(known).to_numpy() if len(numbers) else numbers == 0
    return found


def _no_device(launches: int) -> Fault:
    return Fault(
        NO_DEVICE,
        launches,
        launches,
        (*DEVICE_TIME, *STEP_TIME),
        f"{launches} launches and no kernel in the trace: the device was not recorded (lost, cut "
        "off, or another profiler had it), and the host's time is no stand-in for it; profile "
        "again with the device's activities",
    )


def _launches(trace: TraceColumns) -> tuple[Rows, Rows]:
    """Launches of kernels and of graphs in the marked steps, but for those of a capture."""
    rows = trace.rows(Category.LAUNCH)
    used = np.zeros(len(trace.names), dtype=bool)
    used[trace.name[rows]] = True
    by_pattern = [_matching(trace, used, pattern) for pattern in (_LAUNCH, _GRAPH)]
    rows = rows[(by_pattern[0] | by_pattern[1])[trace.name[rows]] & (trace.correlation[rows] > 0)]
    if len(rows):
        marks = read_marks(trace)
        if len(marks.step):
            rows = rows[innermost(marks.start_ns, marks.end_ns, trace.start_ns[rows]) >= 0]
        rows = rows[~_captured(trace, rows)]
    kernels, graphs = (rows[matching[trace.name[rows]]] for matching in by_pattern)
    return kernels, graphs


def _matching(trace: TraceColumns, used: Mask, pattern: re.Pattern[str]) -> Mask:
    matching = np.zeros(len(trace.names), dtype=bool)
    for code in np.flatnonzero(used).tolist():
        matching[code] = pattern.search(trace.names[code]) is not None
    return matching


def _captured(trace: TraceColumns, rows: Rows) -> Mask:
    """Which rows lie between the begin and the end of a capture."""
    calls = trace.rows(Category.LAUNCH)
    opened, closed = (
        np.sort(trace.start_ns[calls[_named(trace, word)[trace.name[calls]]]])
        for word in (_BEGIN, _END)
    )
    at = trace.start_ns[rows]
    inside: Mask = np.searchsorted(opened, at, "right") > np.searchsorted(closed, at, "right")
    return inside


def _named(trace: TraceColumns, word: str) -> Mask:
    return np.array([word in name for name in trace.names], dtype=bool)
