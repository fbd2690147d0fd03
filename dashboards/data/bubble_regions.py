"""The bubble regions of a step: the worst of them, when they are, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.tables.columns import (
    CAUSE_RANK,
    END,
    PHASE,
    RANK,
    START,
    STATE,
    STEP,
)
from dpprof.tables.intervals import Intervals, length_before

LENGTH = "length_ns"
PHASES = ("warmup", "steady", "cooldown")


def step_regions(library: Library, run: LibraryRun, step: int | None) -> pd.DataFrame:
    """The bubble regions of a step with their lengths, the longest first, sorted once."""
    return library.kept(("regions", run.id, step), lambda: _sorted(run.accounting.regions, step))


def _sorted(regions: pd.DataFrame, step: int | None) -> pd.DataFrame:
    chosen = regions[regions[STEP] == step]
    chosen = chosen.assign(**{LENGTH: chosen[END] - chosen[START]})
    return chosen.sort_values([LENGTH, START], ascending=[False, True], ignore_index=True)


def window_of(run: LibraryRun, step: int | None) -> tuple[int, int]:
    """The step window in nanoseconds; empty where the run has no such step."""
    found = [one for one in run.report.per_step if one.step == step]
    return (found[0].start_ns, found[0].start_ns + found[0].window_ns) if found else (0, 0)


def waited_matrix(regions: pd.DataFrame, ranks: Sequence[int]) -> npt.NDArray[np.int64]:
    """Nanoseconds that rank i (rows) is idle because it waits for rank j (columns)."""
    place = pd.Index(ranks)
    own = place.get_indexer(pd.Index(regions[RANK]))
    cause = place.get_indexer(pd.Index(regions[CAUSE_RANK]))
    known = (own >= 0) & (cause >= 0)
    matrix = np.zeros((len(ranks), len(ranks)), dtype=np.int64)
    np.add.at(matrix, (own[known], cause[known]), regions[LENGTH].to_numpy(np.int64)[known])
    return matrix


def idle_shares(
    regions: pd.DataFrame, ranks: Sequence[int], edges: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """How much of each time bin each rank (rows) is idle; bin i is ``[edges[i], edges[i + 1])``."""
    shares = np.zeros((len(ranks), len(edges) - 1))
    for row, rank in enumerate(ranks):
        own = regions[regions[RANK] == rank].sort_values(START)
        idle = Intervals(own[START].to_numpy(np.int64), own[END].to_numpy(np.int64))
        shares[row] = np.diff(length_before(idle, edges)) / np.diff(edges)
    return shares


def by_cause(regions: pd.DataFrame) -> pd.DataFrame:
    """Phase, state, rank waited for (-1: nobody), how many regions, and how long together."""
    keys = [PHASE, STATE, CAUSE_RANK]
    grouped = regions.groupby(keys, observed=True)[LENGTH]
    found = pd.DataFrame({"count": grouped.size(), LENGTH: grouped.sum()}).reset_index()
    order = found[PHASE].astype(str).map({phase: place for place, phase in enumerate(PHASES)})
    return found.assign(order=order).sort_values(["order", LENGTH], ascending=[True, False])
