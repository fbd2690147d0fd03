"""The bubble regions of a step: the worst of them, when they are, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec.structs import asdict, replace

from dpprof.analysis.figures import TotalFigures
from dpprof.analysis.model import Report
from dpprof.analysis.overlap.by_kind import total_figures
from dpprof.analysis.report.bounds import with_bounds
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.evidence.evidence import texts
from dpprof.evidence.figures import touching
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
_BUBBLE = "bubble_ns"
PHASES = ("warmup", "steady", "cooldown")


def step_regions(library: Library, run: LibraryRun, step: int | None) -> pd.DataFrame:
    """The bubble regions of a step with their lengths, the longest first, sorted once.

    Those of ranks whose bubbles the evidence does not carry are left out.
    """
    return library.kept(("regions", run.id, step), lambda: _sorted(run, step))


def without_bubbles(report: Report) -> dict[int, str]:
    """The ranks whose bubbles the evidence does not carry, each with what is amiss."""
    lacking = {one.rank: touching(report.evidence, _BUBBLE, one.rank) for one in report.ranks}
    return {rank: texts(missing)[0] for rank, missing in lacking.items() if missing}


def with_known_bubbles(report: Report) -> Report:
    """The report of the other ranks alone."""
    missing = without_bubbles(report)
    if not missing:
        return report
    ranks = [one for one in report.ranks if one.rank not in missing]
    figures = asdict(with_bounds(total_figures(ranks)))
    return replace(report, ranks=ranks, total=TotalFigures(**figures, memory=report.total.memory))


def _sorted(run: LibraryRun, step: int | None) -> pd.DataFrame:
    regions = run.accounting.regions
    chosen = regions[(regions[STEP] == step) & ~regions[RANK].isin(without_bubbles(run.report))]
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
