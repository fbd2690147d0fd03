"""Stragglers for HTA, by whom the others waited for.

HTA's own rule compares when each rank began the last communication that takes 1 % of a step. A
straggler's communications are short, as it waits for nobody, so others are compared and named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dpprof.analysis.events.pipeline_messages import texts
from dpprof.analysis.events.stragglers import cause_ranks
from dpprof.runs.run import Run
from dpprof.tables.columns import END, KIND, READY, START, STEP

Identify = Callable[..., "pd.Series[Any]"]
"""HTA's ``straggler_identification_impl``: (frame, symbols, how many, visualize) -> by rank."""


def identify_by_waits(run: Run) -> Identify:
    """What HTA asks who straggles: per rank, how long others waited for it, in nanoseconds.

    Where no communication was matched across ranks, HTA's own rule decides.
    """

    def identify(frame: pd.DataFrame, *rest: Any, **options: Any) -> pd.Series[Any]:
        waits = waits_by_cause(run, frame["iteration"].unique().tolist())
        if not waits.any():
            from hta.analyzers.straggler import find_stragglers_with_late_start_comm_kernels

            found: pd.Series[Any] = find_stragglers_with_late_start_comm_kernels(
                frame, *rest, **options
            )
            return found
        return waits

    return identify


def waits_by_cause(run: Run, steps: list[int]) -> pd.Series[Any]:
    """Rank -> how long other ranks waited for it in these steps; 0 for those of nobody."""
    events = run.held.communications
    events = events[events[STEP].isin(steps) & (events[READY] >= 0)]
    causes = cause_ranks(events, texts(events[KIND]))
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    waited = np.minimum(events[READY].to_numpy(np.int64), ends) - starts
    known = (causes >= 0) & (waited > 0)
    sums = pd.Series(waited[known]).groupby(causes[known]).sum()
    return sums.reindex([place.rank for place in run.places], fill_value=0)
