"""The clock of a device against its host's: it is set right, or what contradicts is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dpprof.evidence.evidence import CLOCK_JUMP, DEVICE_TIME, STEP_TIME
from dpprof.trace.activities.faults import Fault
from dpprof.trace.read.columns import DEVICE_CATEGORIES, Category, Nanoseconds, Rows, TraceColumns

LEFT_OUT = 255
"""The category of rows that are left out: none that anybody asks for."""
EARLY = "before-launch"
ALL_TIMES = (*DEVICE_TIME, *STEP_TIME)
_BEFORE_NS = 50_000
"""A kernel that begins earlier before its launch did not: real traces have 40 microseconds."""
_OFFSET_SHARE = 0.05
"""Of kernels with a launch, those before it from which the clocks are off, and not the rows."""


def without(trace: TraceColumns, rows: Rows) -> TraceColumns:
    """The trace without these rows, which stay where they are in the columns."""
    category = trace.category.copy()
    category[rows] = LEFT_OUT
    return replace(trace, category=category)


def by_stream(trace: TraceColumns, work: Rows) -> tuple[Rows, Nanoseconds]:
    """Rows by device, stream and start, and a number for the stream of each."""
    thread = np.where(trace.stream[work] >= 0, -1, trace.thread[work])
    lane = np.zeros(len(work), dtype=np.int64)
    for column in (thread, trace.stream[work], trace.device[work]):
        lane = lane + (column.astype(np.int64) + 1) * (int(lane.max(initial=0)) + 1)
    order = np.lexsort((trace.end_ns[work], trace.start_ns[work], lane))
    changes = np.diff(lane[order]) != 0
    number = np.append(0, np.cumsum(changes)) if len(order) else order
    return work[order], number.astype(np.int64)


def on_host_clock(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """With device times shifted so that no kernel begins before its launch, where many do."""
    work, delay = _delays(trace)
    early = delay < -_BEFORE_NS
    if not early.any():
        return trace, None
    if early.sum() < max(2, _OFFSET_SHARE * len(delay)):
        rows = work[early]
        words = (
            f"{len(rows)} device activities begin before their launch, by up to "
            f"{-int(delay.min()) / 1e6:.3g} ms, which is impossible: they are left out, and times "
            "of the device are at least what is shown"
        )
        fault = Fault(EARLY, len(rows), len(delay), ALL_TIMES, words)
        return without(trace, rows), fault
    if _out_of_order(trace, work, delay):
        return trace, Fault(CLOCK_JUMP, int(early.sum()), len(delay), ALL_TIMES, _JUMPS)
    offset = -int(delay.min())
    words = (
        f"{int(early.sum())} of {len(delay)} device activities begin before their launch: the "
        f"device's clock is taken to be {offset / 1e6:.3g} ms behind the host's, and its times "
        "are shifted by that"
    )
    fault = Fault("device-clock", int(early.sum()), len(delay), (), words)
    return _shifted(trace, offset), fault


def not_ahead(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """With device times shifted so that what was waited for ends before the waiting does.

    Only a clock that is ahead for most is seen so; a row of a wrong length is not.
    """
    work, delay = _delays(trace)
    waits = _device_waits(trace)
    if not len(waits) or not len(work):
        return trace, None
    launched = trace.start_ns[work] - delay
    first = np.searchsorted(trace.start_ns[waits], launched, side="left")
    work, first = work[first < len(waits)], first[first < len(waits)]
    late = trace.end_ns[work] - np.minimum.accumulate(trace.end_ns[waits][::-1])[::-1][first]
    ahead = late > _BEFORE_NS
    if ahead.sum() < max(2, _OFFSET_SHARE * len(work)):
        return trace, None
    offset = int(late.max())
    if int(delay.min()) - offset < -_BEFORE_NS:
        return trace, Fault(CLOCK_JUMP, int(ahead.sum()), len(work), ALL_TIMES, _ENDS_LATE)
    words = (
        f"{int(ahead.sum())} of {len(work)} device activities end after the host had waited for "
        f"them: the device's clock is taken to be {offset / 1e6:.3g} ms ahead of the host's, and "
        "its times are shifted by that"
    )
    fault = Fault("device-clock", int(ahead.sum()), len(work), (), words)
    return _shifted(trace, -offset), fault


def _shifted(trace: TraceColumns, by_ns: int) -> TraceColumns:
    """The trace with all device times later by so much."""
    rows = trace.rows(*DEVICE_CATEGORIES)
    start_ns, end_ns = trace.start_ns.copy(), trace.end_ns.copy()
    start_ns[rows] += by_ns
    end_ns[rows] += by_ns
    return replace(trace, start_ns=start_ns, end_ns=end_ns)


_ENDS_LATE = (
    "device activities end after the host had waited for them, and no shift of the device's clock "
    "explains it: no figure of the device can be believed"
)
_WAITS_FOR_ALL = frozenset({"cudaDeviceSynchronize", "hipDeviceSynchronize", "cuCtxSynchronize"})


def _device_waits(trace: TraceColumns) -> Rows:
    """Calls that return when all that was launched before them has ended, in order of time."""
    waits = np.array([name in _WAITS_FOR_ALL for name in trace.names], dtype=bool)
    rows = trace.rows(Category.LAUNCH)
    rows = rows[waits[trace.name[rows]]] if waits.any() else rows[:0]
    return rows[np.argsort(trace.start_ns[rows], kind="stable")]


_JUMPS = (
    "device activities begin before their launch, and their streams run them in another order than "
    "they were launched in: the clock of the host or of the device jumps, so that no figure of the "
    "device can be believed (look at the time synchronisation of the host)"
)
_MOST_OUT_OF_ORDER = 0.01
"""Of all activities: threads that launch into one stream may race."""


def _out_of_order(trace: TraceColumns, work: Rows, delay: Nanoseconds) -> bool:
    """Whether a constant offset cannot explain delays: streams keep the order of launches."""
    launched = np.zeros(len(trace.start_ns), dtype=np.int64)
    launched[work] = trace.start_ns[work] - delay
    order, lane = by_stream(trace, work)
    behind = 0
    for own in np.split(launched[order], np.flatnonzero(np.diff(lane)) + 1):
        behind += int((own < np.maximum.accumulate(own) - _BEFORE_NS).sum())
    return behind > _MOST_OUT_OF_ORDER * len(order)


def _delays(trace: TraceColumns) -> tuple[Rows, Nanoseconds]:
    """The device rows whose launch is known, and how long after it each began."""
    launches = trace.rows(Category.LAUNCH)
    launches = launches[trace.correlation[launches] > 0]
    launches = launches[np.lexsort((trace.start_ns[launches], trace.correlation[launches]))]
    work = trace.rows(*DEVICE_CATEGORIES)
    at = np.searchsorted(trace.correlation[launches], trace.correlation[work])
    inside = at < len(launches)
    work, launch = work[inside], launches[at[inside]]
    same = trace.correlation[launch] == trace.correlation[work]
    return work[same], (trace.start_ns[work] - trace.start_ns[launch])[same]
