"""Times on the common clock of a run: the corrections of its ranks applied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import (
    DRIFT,
    FROM,
    RANK,
    SHIFT,
)

UNKNOWN = -1


def corrected(
    times_ns: npt.NDArray[np.int64], ranks: npt.NDArray[np.integer], clocks: pd.DataFrame
) -> npt.NDArray[np.int64]:
    """Times of `ranks` on the common clock; -1 ("not known") stays, order within a rank stays."""
    result = times_ns.copy()
    values = (clocks[name].tolist() for name in (RANK, SHIFT, DRIFT, FROM))
    for rank, shift, drift, start in zip(*values, strict=True):
        if not shift and not drift:
            continue
        own = np.flatnonzero((ranks == rank) & (times_ns != UNKNOWN))
        late = (times_ns[own] - start).astype(np.float64) * (drift * 1e-6)
        result[own] += shift + np.rint(late).astype(np.int64)
    return result
