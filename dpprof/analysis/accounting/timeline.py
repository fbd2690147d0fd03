"""The one place that decides in which state a rank is at every instant of a step window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.analysis.events.causes import Claims
from dpprof.analysis.events.rank_activity import Activity
from dpprof.tables.intervals import Intervals, all_edges, index_at, sweep
from dpprof.tables.kinds import (
    BUBBLE_COOLDOWN,
    BUBBLE_OTHER,
    BUBBLE_STATES,
    BUBBLE_WARMUP,
    COMPUTE_ONLY,
    FUSED,
    MEMORY,
    OVERLAP,
    STATES,
)

_CODE = {state: code for code, state in enumerate(STATES)}
FIRST_BUBBLE = _CODE[BUBBLE_STATES[0]]


@dataclass(frozen=True)
class Timeline:
    """The step window of one rank in segments without gaps or overlaps.

    Segment i is ``[edges[i], edges[i + 1])`` in state ``STATES[codes[i]]``. ``claims[i]`` is the
    position of the list of claims that explains it, ``pieces[i]`` that of its piece; -1 for none.
    """

    edges: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    claims: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each segment."""
        return np.diff(self.edges)

    def states_ns(self) -> npt.NDArray[np.int64]:
        """Nanoseconds in each of `STATES`; they add up to the window exactly."""
        return sum_by_state(self.codes, self.lengths)


def sum_by_state(
    codes: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Sum of lengths per state, in the order of `STATES`, in integers throughout."""
    sums = np.zeros(len(STATES), dtype=np.int64)
    np.add.at(sums, codes, lengths)
    return sums


def make_timeline(
    activity: Activity, claims: Sequence[Claims], marks: Sequence[Intervals] = ()
) -> Timeline:
    """Put every instant of the window in exactly one state (metrics.md, section 5).

    `claims` explain idle time, the strongest first. `marks` are cut at as well.
    """
    layers = [activity.compute, activity.memory, activity.fused, *activity.transfers.values()]
    pieces = [claim.pieces for claim in claims]
    edges = all_edges(activity.start_ns, activity.end_ns, [*layers, *pieces, *marks])
    chosen, piece = _strongest(edges, claims)
    codes = _idle_codes(activity, edges, claims, chosen)
    _put_busy(activity, codes, sweep(edges, layers))
    return Timeline(edges, codes, chosen, piece)


def _strongest(
    edges: npt.NDArray[np.int64], claims: Sequence[Claims]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    chosen = np.full(max(len(edges) - 1, 0), -1, dtype=np.int64)
    piece = chosen.copy()
    for number, claim in reversed(list(enumerate(claims))):
        index = index_at(claim.pieces, edges[:-1])
        chosen[index >= 0] = number
        piece[index >= 0] = index[index >= 0]
    return chosen, piece


def _idle_codes(
    activity: Activity,
    edges: npt.NDArray[np.int64],
    claims: Sequence[Claims],
    chosen: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    code_of = np.array([*(_CODE[claim.state] for claim in claims), _CODE[BUBBLE_OTHER]])
    codes: npt.NDArray[np.int64] = code_of[chosen]  # -1 takes the last: other
    computing = activity.computing
    if len(computing.starts):
        bound = ~np.array([*(claim.anywhere for claim in claims), False], dtype=bool)[chosen]
        codes[bound & (edges[:-1] < computing.starts[0])] = _CODE[BUBBLE_WARMUP]
        codes[bound & (edges[:-1] >= computing.ends[-1])] = _CODE[BUBBLE_COOLDOWN]
    return codes


def _put_busy(
    activity: Activity, codes: npt.NDArray[np.int64], covered: npt.NDArray[np.bool_]
) -> None:
    """Overwrite what is no bubble; later lines are stronger."""
    compute, memory, fused, transfers = covered[0], covered[1], covered[2], covered[3:]
    codes[memory] = _CODE[MEMORY]
    for kind, row in reversed(list(zip(activity.transfers, transfers, strict=True))):
        codes[row] = _CODE[f"exposed.{kind}"]
    codes[compute] = _CODE[COMPUTE_ONLY]
    codes[compute & transfers.any(axis=0)] = _CODE[OVERLAP]
    codes[fused] = _CODE[FUSED]
