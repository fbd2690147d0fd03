"""Spans of a communication library that were still open when the profiler stopped.

Kineto ends them when they are over at last, long after everything else: a step would seem to go on
until then.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dpprof.tables.labels import PREFIX
from dpprof.trace.activities.kind_rules import LIBRARY_SPAN
from dpprof.trace.read.columns import DEVICE_CATEGORIES, TraceColumns

_OWN_MESSAGES = f"{PREFIX}p2p "


def without_open_ends(trace: TraceColumns) -> tuple[TraceColumns, list[str]]:
    """The trace with such spans cut where all else has ended, and a word on how many they were.

    Only traces without device activity are looked at: there, these spans are the communication,
    unless our own labels say how long messages took.
    """
    if any(name.startswith(_OWN_MESSAGES) for name in trace.names):
        return trace, []
    library = np.array([LIBRARY_SPAN.match(name) is not None for name in trace.names], dtype=bool)
    if not library.any() or len(trace.rows(*DEVICE_CATEGORIES)):
        return trace, []
    ours = library[trace.name]
    if ours.all():
        return trace, []
    last = int(trace.end_ns[~ours].max())
    still_open = ours & (trace.end_ns > last) & (trace.start_ns < last)
    if not still_open.any():
        return trace, []
    over = int((trace.end_ns[still_open] - last).max())
    return replace(trace, end_ns=np.where(still_open, last, trace.end_ns)), [
        f"{int(still_open.sum())} communications were still open when the profiler stopped, the "
        f"longest for another {over / 1e6:.2f} ms: they are cut there"
    ]
