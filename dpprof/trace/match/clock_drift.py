"""Clocks that drift apart, or jump, though causality can be kept: communications end at one time.

Ranks of a collective end it together, by microseconds. Where the ends of two ranks move apart
evenly, by more than clocks can drift, their clocks do that: what they waited cannot be told. Nor
where ends agree before an instant as they are, and after it as corrected: there the clock jumped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import CORRELATION, END, KIND, RANK
from dpprof.trace.match.agreement import P2P, SYNCHRONISE
from dpprof.trace.match.clock_bounds import MOST_DRIFT
from dpprof.trace.match.operations import Matched

_LEAST_OPERATIONS = 9
"""Three at the begin, in the middle and at the end."""
_LEAST_RISE_NS = 100_000
"""Ends of one collective are never further apart (see `dpprof.trace.match.bare_order`)."""
_EVENNESS = 10
"""By how much what the ends move apart must exceed what they are off an even movement."""

_NEAR = 0.05
"""Of a shift, what ends that agree may be apart."""

_MOST_ROWS = 200_000
_MIXED = 2_654_435_761  # Knuth's multiplier: every n-th operation could be always the same call

Pair = tuple[int, int]
Times = npt.NDArray[np.float64]


def drifting(events: pd.DataFrame, matched: Matched) -> tuple[tuple[int, ...], ...]:
    """The ranks whose clock drifts by more than clocks do, each before all that it works with.

    Only by what a device timed: a host's threads end when they are scheduled.
    """
    ends = _ends(events, matched, SYNCHRONISE)
    found = [pair for pair, at_ns, other_ns in _pairs(ends) if _drifts(at_ns, other_ns)]
    return tuple((rank, *_partners(ends, rank)) for rank in _culprits(found))


def jumping(
    events: pd.DataFrame, matched: Matched, shifts: Mapping[int, int]
) -> tuple[tuple[int, ...], ...]:
    """The same of ranks whose clock, corrected by these `shifts`, was right for a part of the time.

    One shift explains all contradictions of a clock that jumps, if messages may have taken as long.
    """
    ends = _ends(events, matched, SYNCHRONISE | {P2P})
    found = [
        pair
        for pair, at_ns, other_ns in _pairs(ends)
        if _jumps(at_ns, other_ns, shifts.get(pair[0], 0) - shifts.get(pair[1], 0))
    ]
    return tuple((rank, *_partners(ends, rank)) for rank in _culprits(found))


def _ends(events: pd.DataFrame, matched: Matched, kinds: Set[str]) -> pd.DataFrame:
    """When each rank ended each operation, as far as a device timed it; of many, a sample."""
    one_of = len(matched.rows) // _MOST_ROWS + 1
    chosen = (matched.operation * _MIXED >> 16) % one_of == 0
    part = events[[RANK, END, KIND, CORRELATION]].iloc[matched.rows[chosen]]
    part = part.assign(operation=matched.operation[chosen])
    part = part[part[KIND].isin(kinds) & (part[CORRELATION] >= 0)]
    ends: pd.DataFrame = part.groupby(["operation", RANK], sort=True)[END].max().reset_index()
    return ends


def _pairs(ends: pd.DataFrame) -> Iterator[tuple[Pair, Times, Times]]:
    """Every rank beside the first of its operations: the ends of the first, and its own."""
    first = ends.drop_duplicates("operation")
    pairs = ends.merge(first, on="operation", suffixes=("", "_first"))
    pairs = pairs[pairs[RANK] != pairs[f"{RANK}_first"]].sort_values(f"{END}_first")
    for (rank, other), own in pairs.groupby([RANK, f"{RANK}_first"]):
        yield (
            (int(str(rank)), int(str(other))),
            own[f"{END}_first"].to_numpy(float),
            own[END].to_numpy(float),
        )


def _jumps(at_ns: Times, other_ns: Times, shift_ns: int) -> bool:
    """Whether ends agree as they are up to an instant, and shifted from then on, or the reverse."""
    near = _NEAR * abs(shift_ns)
    as_is, shifted = (np.abs(other_ns - at_ns + by) < near for by in (0, shift_ns))
    changes = int(np.count_nonzero(as_is[1:] != as_is[:-1]))
    return bool((as_is | shifted).all() and changes == 1)


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
    apart, at = other_ns - at_ns, at_ns - at_ns[0]
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
