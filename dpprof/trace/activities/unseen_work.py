"""Device rows that do not say what ran: graphs that were recorded whole, kernels without names."""

from __future__ import annotations

import numpy as np

from dpprof.evidence.evidence import DEVICE_TIME
from dpprof.trace.activities.faults import Fault
from dpprof.trace.read.columns import DEVICE_CATEGORIES, WHOLE_GRAPH, TraceColumns

GRAPHS, NAMELESS = "whole-graphs", "nameless-activities"
_LITTLE = 0.01
"""The share of all activity time up to which such rows change no figure by much."""
_WORDS = {
    GRAPHS: (
        "{} CUDA graphs were recorded as a whole, {:.1%} of all activity time: what in them "
        "computes, communicates or idles is not known, and they count as computation; record with "
        "--cuda-graph-trace=node"
    ),
    NAMELESS: (
        "{} device activities have no name in the file, {:.1%} of all activity time, and count as "
        "computation, whatever they are: export it again"
    ),
}


def unseen_work(trace: TraceColumns) -> list[Fault]:
    """A fault for graphs that were recorded as a whole, and one for rows without a name."""
    rows = trace.rows(*DEVICE_CATEGORIES)
    lengths = trace.end_ns[rows] - trace.start_ns[rows]
    faults = []
    for check, name in ((GRAPHS, WHOLE_GRAPH), (NAMELESS, "")):
        named = np.array([one == name for one in trace.names], dtype=bool)
        unseen = named[trace.name[rows]] if len(named) else np.zeros(len(rows), dtype=bool)
        if not unseen.any():
            continue
        share = float(lengths[unseen].sum() / max(1, lengths.sum()))
        count = int(unseen.sum())
        touches = DEVICE_TIME if share > _LITTLE else ()
        faults.append(Fault(check, count, len(rows), touches, _WORDS[check].format(count, share)))
    return faults
