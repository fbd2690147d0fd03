"""What let an activity start, where the trace records what waits for what on other streams."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.critical_path.predecessors import NONE, Rows, Times
from dpprof.analysis.events.awaited import dependencies

GUESS = -2
"""Nothing that an activity needed explains when it started: its launch came later."""


class PathTimes(NamedTuple):
    """Starts, ends and launches (`NONE` where not known) of the rows of a path."""

    starts: Times
    ends: Times
    launches: Times


def needed_rows(
    events: pd.DataFrame,
    waits: pd.DataFrame,
    kept: npt.NDArray[np.intp],
    times: PathTimes,
    limits: dict[int, tuple[int, int]],
) -> Rows:
    """For each of the rows `kept` the last to end of those that it needed, in its step.

    `GUESS` where it was launched only after that, or needed nothing; `waits` has columns `WAITS`.
    """
    known = dependencies(events, waits)
    place = np.full(len(events), NONE, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    needs, needed = place[known.needs], place[known.needed]
    both = (needs >= 0) & (needed >= 0)
    needs, needed = needs[both], needed[both]
    step = np.full(len(kept), NONE, dtype=np.int64)
    for number, (first, after) in enumerate(limits.values()):
        step[first:after] = number
    inside = step[needs] == step[needed]
    needs, needed = needs[inside], needed[inside]
    order = np.argsort(times.ends[needed], kind="stable")
    result = np.full(len(kept), GUESS, dtype=np.int32)
    result[needs[order]] = needed[order]  # the last one counts
    late = (result >= 0) & (times.launches > times.ends[np.maximum(result, 0)])
    return np.where(late, GUESS, result).astype(np.int32)
