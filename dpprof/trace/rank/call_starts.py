"""When host-timed messages began: with the call that posted them, which the span comes after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpprof.tables.edges import is_posted
from dpprof.trace.activities.classify import FoundActivities
from dpprof.trace.read.columns import Mask, Nanoseconds, TraceColumns

_CALL = "c10d::"


def started_ns(trace: TraceColumns, found: FoundActivities) -> Nanoseconds:
    """When each activity of a rank started.

    The span of a message (``gloo:send``) begins when it has been posted: on a busy machine the
    peer may have it by then. The call that posts it (``c10d::send``) is where it begins at the
    earliest.
    """
    start_ns = trace.start_ns[found.rows].copy()
    posted = _named(trace, is_posted)[trace.name[found.rows]]
    calls = np.append(_named(trace, _posts), False)
    within = posted & calls[np.append(trace.name, len(trace.names))[found.instance]]
    start_ns[within] = trace.start_ns[found.instance[within]]
    return start_ns


def _posts(name: str) -> bool:
    return name.startswith(_CALL)


def _named(trace: TraceColumns, is_wanted: Callable[[str], bool]) -> Mask:
    return np.array([is_wanted(name) for name in trace.names], dtype=bool)
