"""Claims on idle time: which bubble state an instant would be, and who is to blame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.tables.intervals import EMPTY, Intervals, first_come


@dataclass(frozen=True)
class Claims:
    """Disjoint sorted `pieces` of time that are `state` if the rank is idle there.

    ``ranks[i]`` is the rank that piece i waits for (-1: nobody known), ``causes[i]`` what it waits
    for, in words. Claims of one rank and step come in a list, the strongest first. With `anywhere`,
    they hold before the first and after the last computation too.
    """

    state: str
    pieces: Intervals
    ranks: npt.NDArray[np.int32]
    causes: npt.NDArray[np.object_]
    anywhere: bool = False


def make_claims(
    state: str,
    spans: Intervals,
    ranks: npt.NDArray[np.int32] | int = -1,
    causes: npt.NDArray[np.object_] | str = "",
    *,
    anywhere: bool = False,
) -> Claims:
    """Claims from spans in any order; where spans overlap, the one that began first wins.

    `ranks` and `causes` have one entry per span, or are one value for all.
    """
    count = len(spans.starts)
    rank_of = np.broadcast_to(np.asarray(ranks, dtype=np.int32), count)
    cause_of = np.broadcast_to(np.asarray(causes, dtype=object), count)
    pieces, owner = first_come(spans)
    return Claims(state, pieces, rank_of[owner], cause_of[owner], anywhere)


NO_CLAIMS = make_claims("", EMPTY)
