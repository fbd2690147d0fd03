"""Times that cannot be: rows are cut or left out, a device clock is set right, and it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dpprof.trace.activities.device_clock import (
    ALL_TIMES,
    EARLY,
    by_stream,
    not_ahead,
    on_host_clock,
    without,
)
from dpprof.trace.activities.faults import Fault
from dpprof.trace.activities.lost_kernels import lost_kernels
from dpprof.trace.activities.unread_rows import CUT, UNREADABLE, unread_rows
from dpprof.trace.activities.unseen_work import unseen_work
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Category,
    Mask,
    Nanoseconds,
    Rows,
    TraceColumns,
)

NO_TIME, FAR_AWAY = "no-time", "outside-the-trace"
LEFT_OUT_CHECKS = (NO_TIME, FAR_AWAY, EARLY, UNREADABLE, CUT)
"""Faults whose rows are left out."""
_HOST = (Category.LAUNCH, Category.ANNOTATION, Category.OPERATOR)
_OVERLAP_NS = 20_000
"""Rows of one stream that overlap by more did not: what real traces have is 13 microseconds."""
_NO_QUEUE_SHARE = 0.2
"""Of the rows of a lane, those that overlap from which it is no queue that runs one at a time."""
_AWAY_NS = 1_000_000_000
_TAIL_NS = 500_000_000
"""The last row of a stream that outlasts the host by more, and all that was recorded, did not."""


class Checked(NamedTuple):
    """A trace whose times can be, and what was amiss in it."""

    trace: TraceColumns
    faults: tuple[Fault, ...]


def checked(trace: TraceColumns, elsewhere: Nanoseconds | None = None) -> Checked:
    """Leave out, cut and shift what cannot be; rows stay where they are in the columns.

    `elsewhere` are the correlations of work on other devices of the process.
    """
    faults = unread_rows(trace)
    written = trace.correlation[trace.rows(*DEVICE_CATEGORIES)]
    known = written if elsewhere is None else np.concatenate((written, elsewhere))
    alone = elsewhere is None or not len(elsewhere)
    clocks = (on_host_clock, *((not_ahead,) if alone else ()))
    for check in (_without_timeless, _without_far_away, *clocks, _without_overlaps):
        trace, fault = check(trace)
        faults += [] if fault is None else [fault]
    return Checked(trace, (*faults, *unseen_work(trace), *lost_kernels(trace, known)))


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
        return (without(trace, rows) if len(rows) > 1 else trace), None
    words = (
        f"{lost} device activities have no time (start and length are 0), nor have "
        f"{len(rows) - lost} launches: they are left out, and times of the device are at least "
        "what is shown"
    )
    count = len(trace.rows(*DEVICE_CATEGORIES))
    return without(trace, rows), Fault(NO_TIME, lost, count, ALL_TIMES, words)


def _without_far_away(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """Without device rows long before or after everything that the host did."""
    host, work = trace.rows(*_HOST), trace.rows(*DEVICE_CATEGORIES)
    if not len(host) or not len(work):
        return trace, None
    first, last = int(trace.start_ns[host].min()), int(trace.end_ns[host].max())
    slack = max(_AWAY_NS, last - first)
    start, end = trace.start_ns[work], trace.end_ns[work]
    away = work[(start < first - slack) | (start > last + slack)]
    most = max(_TAIL_NS, last - first)
    tail = work[(end > last + most) & (end - start > most)]
    if len(tail):
        away = np.union1d(away, np.setdiff1d(tail, _with_a_next(trace, work)))
    if not len(away):
        return trace, None
    words = (
        f"{len(away)} device activities start or end far outside the time that was recorded: they "
        "are left out, and times of the device are at least what is shown"
    )
    return without(trace, away), Fault(FAR_AWAY, len(away), len(work), ALL_TIMES, words)


def _with_a_next(trace: TraceColumns, work: Rows) -> Rows:
    """The rows that another row of their stream follows."""
    order, lane = by_stream(trace, work)
    followed: Rows = order[:-1][lane[1:] == lane[:-1]]
    return followed


def _without_overlaps(trace: TraceColumns) -> tuple[TraceColumns, Fault | None]:
    """With rows cut where the next of their stream begins."""
    work = trace.rows(*DEVICE_CATEGORIES)
    if len(work) < 2:
        return trace, None
    order, lane = by_stream(trace, work)
    following = trace.start_ns[order[1:]]
    over = (lane[1:] == lane[:-1]) & (trace.end_ns[order[:-1]] > following + _OVERLAP_NS)
    no_queue = over & _no_queues(lane, over)[lane[:-1]]
    over &= ~no_queue
    if not over.any():
        return trace, _no_queue_fault(int(no_queue.sum()), len(work))
    end_ns = trace.end_ns.copy()
    rows = order[:-1][over]
    excess = int((end_ns[rows] - following[over]).sum())
    end_ns[rows] = following[over]
    words = (
        f"{len(rows)} device activities end after the next one of their stream began, which is "
        f"impossible: they are cut there ({excess / 1e6:.3g} ms in all)"
    )
    cut = Fault("overlap", len(rows), len(work), (), words)
    return replace(trace, end_ns=end_ns), _no_queue_fault(int(no_queue.sum()), len(work)) or cut


def _no_queue_fault(rows: int, count: int) -> Fault | None:
    """What to say of lanes that are left as they are."""
    if not rows:
        return None
    words = (
        f"{rows} device activities end after the next one of their stream began, so many that it "
        "is no queue, or their times are wrong: they are left as they are, and times of the device "
        "cannot be known from them"
    )
    return Fault("overlap", rows, count, ALL_TIMES, words)


def _no_queues(lane: Nanoseconds, over: Mask) -> Mask:
    """By lane, whether so many rows overlap that it does not run one thing after the other."""
    rows, overlapping = np.bincount(lane), np.bincount(lane[:-1], weights=over)
    overlapping = np.append(overlapping, np.zeros(len(rows) - len(overlapping)))
    none: Mask = (overlapping > 2) & (overlapping > _NO_QUEUE_SHARE * rows)
    return none
