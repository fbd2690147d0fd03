"""Where a device has nothing to do because of its host, and what the host does meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.causes import HOST, NO_CLAIMS, Claims, causes_of, make_claims
from dpprof.analysis.events.rank_activity import Activity
from dpprof.runs.run import Run
from dpprof.runs.windows import device_edges
from dpprof.tables.columns import END, NAME, RANK, START
from dpprof.tables.intervals import Intervals
from dpprof.tables.kinds import BUBBLE_HOST

Numbers = npt.NDArray[np.int64]
_AT_ONCE = 4096
"""Pieces whose spans are compared at once: each may lie in many."""
_LEAST_PART = 0.25
"""Of an idle time, that what the host did in it must take to be named."""


class _Spans(NamedTuple):
    """What a rank's host did, by start; `reach` is the latest end so far."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    reach: npt.NDArray[np.int64]
    names: npt.NDArray[np.object_]

    @classmethod
    def of(cls, spans: pd.DataFrame) -> _Spans:
        """Those of a table."""
        ends = spans[END].to_numpy(np.int64)
        starts = spans[START].to_numpy(np.int64)
        names = spans[NAME].astype(object).to_numpy()
        return cls(starts, ends, np.maximum.accumulate(ends), names)

    def longest(self, lows: Numbers, highs: Numbers, pieces: Intervals) -> Numbers:
        """Of the spans from `lows` up to `highs` the first that shares most with each piece."""
        most = lows.copy()
        counts = highs - lows
        for low in range(0, len(lows), _AT_ONCE):
            few = np.arange(low, min(low + _AT_ONCE, len(lows)))
            few = few[counts[few] > 1]
            if not len(few):
                continue
            first = np.cumsum(counts[few]) - counts[few]
            owner = np.repeat(few, counts[few])
            span = np.arange(len(owner)) + np.repeat(lows[few] - first, counts[few])
            shared = np.minimum(self.ends[span], pieces.ends[owner])
            shared -= np.maximum(self.starts[span], pieces.starts[owner])
            order = np.lexsort((span, -shared, owner))
            most[few] = span[order][first]
        return most


@dataclass(frozen=True)
class HostTime:
    """What is known of the hosts of a run.

    `edges` has for each step when the first of its device work started on any rank, and the last
    ended. In a simulated run nothing has a host (`present` False).
    """

    present: bool
    edges: Mapping[int, tuple[int, int]]
    spans: Mapping[int, _Spans]

    @classmethod
    def of(cls, run: Run) -> HostTime:
        """That of a run."""
        present = run.source != "simulated"
        spans = {int(str(rank)): _Spans.of(own) for rank, own in run.host_spans.groupby(RANK)}
        return cls(present, device_edges(run) if present else {}, spans)

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
        return make_claims(BUBBLE_HOST, spans, causes_of("", len(spans.starts)), anywhere=True)

    def named(self, claims: Claims, rank: int) -> Claims:
        """Host claims with what the host did in most of the time, where the trace says it."""
        own = self.spans.get(rank)
        if own is None:
            return claims
        begins, closes = claims.pieces
        lows = np.searchsorted(own.reach, begins, "right")
        highs = np.searchsorted(own.starts, closes, "left")
        most = own.longest(lows, highs, claims.pieces)
        some = np.flatnonzero(lows < highs)
        most, begins, closes = most[some], begins[some], closes[some]
        shared = np.minimum(own.ends[most], closes) - np.maximum(own.starts[most], begins)
        large = shared >= _LEAST_PART * (closes - begins)
        kinds, names = claims.causes.kinds.copy(), claims.causes.names.copy()
        kinds[some[large]], names[some[large]] = HOST, own.names[most[large]]
        return replace(claims, causes=replace(claims.causes, kinds=kinds, names=names))
