"""Clocks that drift apart though no communication contradicts them: collectives end at one time.

Ranks of a collective end it together, by microseconds. Where the ends of two ranks move apart
evenly, by more than clocks can drift, their clocks do that: what they waited cannot be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import CORRELATION, END, KIND, RANK
from dpprof.trace.match.agreement import SYNCHRONISE
from dpprof.trace.match.clock_bounds import MOST_DRIFT
from dpprof.trace.match.operations import Matched

_LEAST_OPERATIONS = 9
"""Three at the begin, in the middle and at the end."""
_LEAST_RISE_NS = 100_000
"""Ends of one collective are never further apart (see `dpprof.trace.match.bare_order`)."""
_EVENNESS = 10
"""By how much what the ends move apart must exceed what they are off an even movement."""

Pair = tuple[int, int]
Times = npt.NDArray[np.float64]


def drifting(events: pd.DataFrame, matched: Matched) -> tuple[tuple[int, ...], ...]:
    """The ranks whose clock drifts by more than clocks do, each before all that it works with.

    Only by what a device timed: a host's threads end when they are scheduled.
    """
    part = events.iloc[matched.rows][[RANK, END, KIND, CORRELATION]]
    part = part.assign(operation=matched.operation)
    part = part[part[KIND].isin(SYNCHRONISE) & (part[CORRELATION] >= 0)]
    ends = part.groupby(["operation", RANK], sort=True)[END].max().reset_index()
    first = ends.drop_duplicates("operation")
    pairs = ends.merge(first, on="operation", suffixes=("", "_first"))
    pairs = pairs[pairs[RANK] != pairs[f"{RANK}_first"]]
    found = [
        (int(rank), int(other))
        for (rank, other), own in pairs.groupby([RANK, f"{RANK}_first"])
        if _drifts(own[f"{END}_first"].to_numpy(float), own[END].to_numpy(float))
    ]
    return tuple((rank, *_partners(ends, rank)) for rank in _culprits(found))


def _partners(ends: pd.DataFrame, rank: int) -> list[int]:
    """The ranks that this one has operations with."""
    own = ends.loc[ends[RANK] == rank, "operation"]
    ranks = ends.loc[ends["operation"].isin(own) & (ends[RANK] != rank), RANK]
    return sorted(set(ranks.tolist()))


def _drifts(at_ns: Times, other_ns: Times) -> bool:
    """Whether the second times move away from the first ones evenly, and by too much.

    By a line through the medians of the first and of the last third: single ends do not move it.
    """
    if len(at_ns) < _LEAST_OPERATIONS:
        return False
    order = np.argsort(at_ns)
    apart, at = (other_ns - at_ns)[order], at_ns[order] - at_ns.min()
    third = len(at) // 3
    ends = slice(0, third), slice(len(at) - third, None)
    early, late = ((np.median(at[one]), np.median(apart[one])) for one in ends)
    slope = (late[1] - early[1]) / max(late[0] - early[0], 1.0)
    off = np.abs(apart - early[1] - slope * (at - early[0]))
    rise = abs(slope) * at[-1]
    is_even = rise > max(_LEAST_RISE_NS, _EVENNESS * float(np.quantile(off, 0.9)))
    return bool(abs(slope) > MOST_DRIFT and is_even)


def _culprits(pairs: Sequence[Pair]) -> list[int]:
    """Fewest ranks that explain all pairs."""
    found, left = [], list(pairs)
    while left:
        counts = Counter(rank for pair in left for rank in pair)
        worst = max(counts, key=lambda rank: (counts[rank], rank))
        found.append(worst)
        left = [pair for pair in left if worst not in pair]
    return found
