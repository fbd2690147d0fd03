"""The figures of every used step, by rank: what spreads and significance are taken from."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pandas as pd
from msgspec.structs import asdict

from dpprof.analysis.accounting.account import Accounting
from dpprof.analysis.figures import StepFigures, StepRank
from dpprof.analysis.overlap.by_kind import Transfers, time_figures
from dpprof.analysis.report.bounds import with_bounds
from dpprof.runs.run import Run
from dpprof.tables.columns import ALLOCATED, END, RANK, START, STEP
from dpprof.tables.kinds import STATES

_Peaks = dict[tuple[int, int], int]


def step_figures(run: Run, accounting: Accounting) -> list[StepFigures]:
    """The used steps in order, each with its ranks in order.

    Over the steps, the times of a rank add up to those of its `RankFigures` exactly, and the
    largest of its peaks is the rank's, where the trace has a memory curve.
    """
    peaks = _peaks(run)
    columns = [accounting.states[name].tolist() for name in (STEP, START, END)]
    rows = zip(
        *columns,
        accounting.states[list(STATES)].to_numpy(np.int64).tolist(),
        accounting.transfers,
        strict=True,
    )
    figures = []
    for (step, start, end), ranks in groupby(rows, key=lambda row: row[:3]):
        of_ranks = [_rank(states, transfers, peaks) for *_, states, transfers in ranks]
        figures.append(
            StepFigures(
                step=step,
                start_ns=start,
                window_ns=end - start,
                states_ns={
                    state: sum(one.states_ns[state] for one in of_ranks) for state in STATES
                },
                ranks=of_ranks,
            )
        )
    return figures


def _rank(states: list[int], transfers: Transfers, peaks: _Peaks) -> StepRank:
    sums = dict(zip(STATES, states, strict=True))
    times = with_bounds(time_figures([transfers], sums, transfers.including_wait))
    return StepRank(
        **asdict(times),
        rank=transfers.rank,
        peak_allocated_bytes=peaks.get((transfers.rank, transfers.step)),
    )


def _peaks(run: Run) -> _Peaks:
    """(rank, step) -> the most bytes that were allocated, where the trace tells."""
    largest: pd.Series[int] = run.memory.groupby([RANK, STEP], observed=True)[ALLOCATED].max()
    return dict(zip(largest.index.tolist(), largest.tolist(), strict=True))
