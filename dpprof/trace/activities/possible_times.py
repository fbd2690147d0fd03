"""Times that cannot be: rows are cut or left out, a device clock is set right, and it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dpprof.evidence.evidence import DEVICE_TIME, STEP_TIME
from dpprof.trace.activities.faults import Fault
from dpprof.trace.activities.lost_kernels import lost_kernels
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Category,
    Mask,
    Nanoseconds,
    Rows,
    TraceColumns,
)

LEFT_OUT = 255
"""The category of rows that are left out: none that anybody asks for."""
NO_TIME, FAR_AWAY, EARLY = "no-time", "outside-the-trace", "before-launch"
LEFT_OUT_CHECKS = (NO_TIME, FAR_AWAY, EARLY)
"""Faults whose rows are left out."""
_HOST = (Category.LAUNCH, Category.ANNOTATION, Category.OPERATOR)
_OVERLAP_NS = 20_000
"""Rows of one stream that overlap by more did not: what real traces have is 13 microseconds."""
_BEFORE_NS = 50_000
"""A kernel that begins earlier before its launch did not: real traces have 40 microseconds."""
_OFFSET_SHARE = 0.05
"""Of kernels with a launch, those before it from which the clocks are off, and not the rows."""
_NO_QUEUE_SHARE = 0.2
"""Of the rows of a lane, those that overlap from which it is no queue that runs one at a time."""
_AWAY_NS = 1_000_000_000
_ALL = (*DEVICE_TIME, *STEP_TIME)


class Checked(NamedTuple):
    """A trace whose times can be, and what was amiss in it."""

    trace: TraceColumns
    faults: tuple[Fault, ...]


def checked(trace: TraceColumns, elsewhere: Nanoseconds | None = None) -> Checked:
    """Leave out, cut and shift what cannot be; rows stay where they are in the columns.

    `elsewhere` are the correlations of work on other devices of the process.
    """
    faults: list[Fault] = []
    written = trace.correlation[trace.rows(*DEVICE_CATEGORIES)]
    known = written if elsewhere is None else np.concatenate((written, elsewhere))
    for check in (_without_timeless, _without_far_away, _on_host_clock, _without_overlaps):
        trace, fault = check(trace)
        faults += [] if fault is None else [fault]
    return Checked(trace, (*faults, *lost_kernels(trace, known)))


def _without(trace: TraceColumns, rows: Rows) -> TraceColumns:
    category = trace.category.copy()
    category[rows] = LEFT_OUT
    return replace(trace, category=category)


def _without_timeless(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """Without rows that have no length and start where the trace's clock does."""
    rows = trace.rows(*DEVICE_CATEGORIES, Category.LAUNCH)
    lasting = trace.end_ns > trace.start_ns
    if not len(rows) or not lasting.any():
        return trace, None
    first = int(trace.start_ns[lasting].min())
    rows = rows[~lasting[rows] & (trace.start_ns[rows] <= first)]
    work = np.isin(trace.category[rows], DEVICE_CATEGORIES)
    lost = int(work.sum())
    if not lost:
        return (_without(trace, rows) if len(rows) > 1 else trace), None
    words = (
        f"{lost} device activities have no time (start and length are 0), nor have "
        f"{len(rows) - lost} launches: they are left out, and times of the device are at least "
        "what is shown"
    )
    count = len(trace.rows(*DEVICE_CATEGORIES))
    return _without(trace, rows), Fault(NO_TIME, lost, count, _ALL, words)


def _without_far_away(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """Without device rows long before or after everything that the host did."""
    host, work = trace.rows(*_HOST), trace.rows(*DEVICE_CATEGORIES)
    if not len(host) or not len(work):
        return trace, None
    first, last = int(trace.start_ns[host].min()), int(trace.end_ns[host].max())
    slack = max(_AWAY_NS, last - first)
    start, end = trace.start_ns[work], trace.end_ns[work]
    away = work[(start < first - slack) | (start > last + slack)]
    tail = work[(end > last + slack) & (end - start > slack)]
    if len(tail):
        away = np.union1d(away, np.setdiff1d(tail, _with_a_next(trace, work)))
    if not len(away):
        return trace, None
    words = (
        f"{len(away)} device activities start or end far outside the time that was recorded: they "
        "are left out, and times of the device are at least what is shown"
    )
    return _without(trace, away), Fault(FAR_AWAY, len(away), len(work), _ALL, words)


def _with_a_next(trace: TraceColumns, work: Rows) -> Rows:
    """The rows that another row of their stream follows."""
    order, lane = _by_stream(trace, work)
    followed: Rows = order[:-1][lane[1:] == lane[:-1]]
    return followed


def _by_stream(trace: TraceColumns, work: Rows) -> tuple[Rows, Nanoseconds]:
    """Rows by device, stream and start, and a number for the stream of each."""
    thread = np.where(trace.stream[work] >= 0, -1, trace.thread[work])
    lane = np.zeros(len(work), dtype=np.int64)
    for column in (thread, trace.stream[work], trace.device[work]):
        lane = lane + (column.astype(np.int64) + 1) * (int(lane.max(initial=0)) + 1)
    order = np.lexsort((trace.end_ns[work], trace.start_ns[work], lane))
    changes = np.diff(lane[order]) != 0
    number = np.append(0, np.cumsum(changes)) if len(order) else order
    return work[order], number.astype(np.int64)


def _without_overlaps(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """With rows cut where the next of their stream begins."""
    work = trace.rows(*DEVICE_CATEGORIES)
    if len(work) < 2:
        return trace, None
    order, lane = _by_stream(trace, work)
    following = trace.start_ns[order[1:]]
    over = (lane[1:] == lane[:-1]) & (trace.end_ns[order[:-1]] > following + _OVERLAP_NS)
    over &= ~_no_queues(lane, over)[lane[:-1]]
    if not over.any():
        return trace, None
    end_ns = trace.end_ns.copy()
    rows = order[:-1][over]
    excess = int((end_ns[rows] - following[over]).sum())
    end_ns[rows] = following[over]
    words = (
        f"{len(rows)} device activities end after the next one of their stream began, which is "
        f"impossible: they are cut there ({excess / 1e6:.3g} ms in all)"
    )
    return replace(trace, end_ns=end_ns), Fault("overlap", len(rows), len(work), (), words)


def _no_queues(lane: Nanoseconds, over: Mask) -> Mask:
    """By lane, whether so many rows overlap that it does not run one thing after the other."""
    rows, overlapping = np.bincount(lane), np.bincount(lane[:-1], weights=over)
    overlapping = np.append(overlapping, np.zeros(len(rows) - len(overlapping)))
    none: Mask = (overlapping > 2) & (overlapping > _NO_QUEUE_SHARE * rows)
    return none


def _on_host_clock(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
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
        fault = Fault(EARLY, len(rows), len(delay), _ALL, words)
        return _without(trace, rows), fault
    if _out_of_order(trace, work, delay):
        return trace, Fault("clock-jump", int(early.sum()), len(delay), _ALL, _JUMPS)
    offset = -int(delay.min())
    every = trace.rows(*DEVICE_CATEGORIES)
    start_ns, end_ns = trace.start_ns.copy(), trace.end_ns.copy()
    start_ns[every] += offset
    end_ns[every] += offset
    words = (
        f"{int(early.sum())} of {len(delay)} device activities begin before their launch: the "
        f"device's clock is taken to be {offset / 1e6:.3g} ms behind the host's, and its times "
        "are shifted by that"
    )
    fault = Fault("device-clock", int(early.sum()), len(delay), (), words)
    return replace(trace, start_ns=start_ns, end_ns=end_ns), fault


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
    order, lane = _by_stream(trace, work)
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
