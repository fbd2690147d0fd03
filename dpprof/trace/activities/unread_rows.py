"""Rows that could not be read, or that the file does not have: what they told is not known."""

from __future__ import annotations

from dpprof.evidence.evidence import MEMORY
from dpprof.trace.activities.device_clock import ALL_TIMES
from dpprof.trace.activities.faults import Fault
from dpprof.trace.read.columns import DEVICE_CATEGORIES, TraceColumns

UNREADABLE, CUT, _NO_VALUES = "unreadable-activities", "cut-file", "unreadable-memory"


def unread_rows(trace: TraceColumns) -> list[Fault]:
    """A fault each for activities, memory events and the end of the file that are missing."""
    lost, memory = _lost_activities(trace), trace.unread.memory
    faults = []
    if lost:
        count = lost + (len(trace.rows(*DEVICE_CATEGORIES)) or len(trace.category))
        faults.append(Fault(UNREADABLE, lost, count, ALL_TIMES, _UNREADABLE.format(lost)))
    if memory:
        count = memory + len(trace.memory.at_ns)
        faults.append(Fault(_NO_VALUES, memory, count, MEMORY, _MEMORY.format(memory)))
    if trace.unread.is_cut:
        faults.append(Fault(CUT, 1, 1, (*ALL_TIMES, *MEMORY), _CUT))
    return faults


def told_apart(trace: TraceColumns) -> int:
    """Of the events that are left out, how many `unread_rows` tells of."""
    return _lost_activities(trace) + trace.unread.memory


def _lost_activities(trace: TraceColumns) -> int:
    """On a CPU run, which has no device, the host's rows are the activities."""
    has_device = len(trace.rows(*DEVICE_CATEGORIES)) or trace.unread.work
    return trace.unread.work if has_device else trace.skipped - trace.unread.memory


_UNREADABLE = (
    "{} activities have values of the wrong type, or end before they begin (a clock that was set "
    "back?): they are left out, and times of the device are at least what is shown"
)
_MEMORY = (
    "{} memory events have values of the wrong type: they are left out, and peaks are at least "
    "what is shown"
)
_CUT = (
    "the file does not go on to its end: what is behind it is not known, and times are at least "
    "what is shown; give the whole file, or profile again"
)
