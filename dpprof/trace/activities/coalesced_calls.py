"""Collectives that several calls ask for and one kernel carries out after the last of them.

Between the start and the end of a coalesced batch the calls record what they ask for and launch
nothing. RCCL calls every kernel ``ncclDevKernel_Generic``: then only these calls say what it is.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dpprof.tables.edges import outer_group
from dpprof.trace.activities.find import Activities
from dpprof.trace.read.columns import Category, Codes, Rows, TraceColumns

_KERNEL = re.compile(r"nccl(?:Dev)?Kernel")
_ASKS = re.compile(r"send|recv|_?(?:all|reduce|broadcast|gather|scatter)", re.IGNORECASE)
_MESSAGES = frozenset({"send", "recv"})


def calls_before(trace: TraceColumns, issued: Activities, collective: Codes) -> Codes:
    """`collective`, with that of kernels without one from the calls before their launch.

    These are the calls of the launching thread since the kernel before that launched nothing
    themselves. Where they are not of one group and sort, nothing is said.
    """
    named = np.array([_KERNEL.search(name) is not None for name in trace.names], dtype=bool)
    kernels = np.flatnonzero(named[trace.name[issued.rows]] & (issued.issue_thread >= 0))
    bare = kernels[collective[kernels] < 0]
    if not len(bare):
        return collective
    calls = _silent_calls(trace)
    owner = _first_launch_after(trace, calls, issued, kernels)
    frame = pd.DataFrame({"activity": owner, "code": trace.collective[calls]})
    frame = frame[frame["activity"].isin(bare)]
    frame["sort"] = [_sort(trace, code) for code in frame["code"]]
    by_kernel = frame.groupby("activity")
    alike = by_kernel["sort"].nunique() == 1
    last = by_kernel["code"].last()[alike]
    result = collective.copy()
    result[last.index.to_numpy(np.intp)] = last.to_numpy(np.int32)
    return result


def _sort(trace: TraceColumns, code: int) -> str:
    one = trace.collectives[code]
    what = "message" if one.name in _MESSAGES else one.name
    return f"{what} {outer_group(one.group)} {one.description}"


def _silent_calls(trace: TraceColumns) -> Rows:
    """Calls that ask for something and hold no launch, in order of start within their thread."""
    asks = np.array([_ASKS.match(one.name) is not None for one in trace.collectives] + [False])
    calls = trace.rows(Category.OPERATOR)
    calls = calls[asks[trace.collective[calls]]]
    calls = calls[np.lexsort((trace.start_ns[calls], trace.thread[calls]))]
    launching = np.array(["Launch" in name for name in trace.names], dtype=bool)
    launches = trace.rows(Category.LAUNCH)
    launches = launches[launching[trace.name[launches]]]
    holds = np.zeros(len(calls), dtype=bool)
    for thread in np.unique(trace.thread[calls]):
        own = trace.thread[calls] == thread
        starts = np.sort(trace.start_ns[launches[trace.thread[launches] == thread]])
        first = np.searchsorted(starts, trace.start_ns[calls[own]])
        holds[own] = first < np.searchsorted(starts, trace.end_ns[calls[own]])
    silent: Rows = calls[~holds]
    return silent


def _first_launch_after(
    trace: TraceColumns, calls: Rows, issued: Activities, kernels: Rows
) -> Rows:
    """For each call the first of `kernels` that its thread launched from then on; -1 for none."""
    owner = np.full(len(calls), -1, dtype=np.intp)
    for thread in np.unique(trace.thread[calls]):
        own = np.flatnonzero(trace.thread[calls] == thread)
        launched = kernels[issued.issue_thread[kernels] == thread]
        launched = launched[np.argsort(issued.issue_ns[launched], kind="stable")]
        place = np.searchsorted(issued.issue_ns[launched], trace.start_ns[calls[own]])
        owner[own] = np.append(launched, -1)[place]
    return owner
