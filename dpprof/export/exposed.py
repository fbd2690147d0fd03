"""When communication was exposed: transfers of each kind with no computation to hide them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.tables.columns import END, KIND, READY, START
from dpprof.tables.intervals import Intervals, make_intervals, subtract, union
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, FUSED


def exposed_intervals(events: pd.DataFrame) -> dict[str, Intervals]:
    """Communication kind -> when it was exposed (metrics.md, section 5); kinds that occur only.

    `events` are of one rank. Several kinds at once count for the first in order.
    """
    kinds = events[KIND].astype(str).to_numpy(object)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    transfers = np.maximum(starts, events[READY].to_numpy(np.int64))
    computing = np.isin(kinds, [COMPUTE, FUSED])
    covered = union(make_intervals(starts[computing], ends[computing]))
    found = {}
    for kind in COMMUNICATION_KINDS:
        chosen = kinds == kind
        if chosen.any():
            moving = union(make_intervals(transfers[chosen], ends[chosen]))
            found[kind] = subtract(moving, covered)
            covered = union(covered, moving)
    return found
