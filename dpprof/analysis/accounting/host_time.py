"""Where a device has nothing to do because of its host, and what the host does meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dpprof.analysis.accounting.idle_causes import NO_CLAIMS, Claims, make_claims
from dpprof.analysis.events.rank_activity import Activity
from dpprof.analysis.model import IN_HOST
from dpprof.runs.run import Run
from dpprof.runs.windows import device_edges
from dpprof.tables.columns import END, NAME, RANK, START
from dpprof.tables.intervals import Intervals
from dpprof.tables.kinds import BUBBLE_HOST

_LEAST_PART = 0.25
"""Of an idle time, that what the host did in it must take to be named."""


@dataclass(frozen=True)
class HostTime:
    """What is known of the hosts of a run.

    `edges` has for each step when the first of its device work started on any rank, and the last
    ended. In a simulated run nothing has a host (`present` False).
    """

    present: bool
    edges: Mapping[int, tuple[int, int]]
    spans: pd.DataFrame

    @classmethod
    def of(cls, run: Run) -> HostTime:
        """That of a run."""
        present = run.source != "simulated"
        return cls(present, device_edges(run) if present else {}, run.host_spans)

    def edge_claims(self, activity: Activity) -> Claims:
        """The time in which no device of the job has begun, or any goes on, with the step's work.

        What holds the step up then is the hosts, on every rank.
        """
        if not self.present:
            return NO_CLAIMS
        start, end = activity.start_ns, activity.end_ns
        first, last = self.edges.get(activity.step, (start, start))
        first, last = min(max(first, start), end), min(max(last, start), end)
        spans = Intervals(np.array([start, last]), np.array([first, end]))
        return make_claims(BUBBLE_HOST, spans, anywhere=True)

    def named(self, claims: Claims, rank: int) -> Claims:
        """Host claims with what the host did in most of the time, where the trace says it."""
        own = self.spans[self.spans[RANK] == rank] if len(self.spans) else self.spans
        if own.empty or claims.state != BUBBLE_HOST or not len(claims.pieces.starts):
            return claims
        starts, ends = own[START].to_numpy(np.int64), own[END].to_numpy(np.int64)
        names = own[NAME].astype(str).to_numpy(dtype=object)
        reach = np.maximum.accumulate(ends)
        causes = claims.causes.copy()
        for i, (start, end) in enumerate(zip(*claims.pieces, strict=True)):
            low, high = np.searchsorted(reach, start, "right"), np.searchsorted(starts, end, "left")
            if low >= high:
                continue
            shared = np.minimum(ends[low:high], end) - np.maximum(starts[low:high], start)
            most = int(np.argmax(shared))
            if shared[most] >= _LEAST_PART * (end - start):
                causes[i] = IN_HOST + names[low + most]
        return replace(claims, causes=causes)
