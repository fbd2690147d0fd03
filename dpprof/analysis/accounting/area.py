"""What a rank does in a part of a step: the accounts of metrics.md, section 5, cut to a span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpprof.analysis.accounting.timeline import make_timeline
from dpprof.analysis.events.event_columns import EventColumns, make_rows
from dpprof.analysis.events.rank_activity import Activity
from dpprof.analysis.overlap.by_kind import Transfers, measure_transfers
from dpprof.tables.columns import COUNT, END, KIND, NAME, RANK, START, STATE, STEP, TOTAL
from dpprof.tables.kinds import BUBBLE_STATES, KINDS, STATES

BY_NAME = (KIND, NAME, COUNT, TOTAL)


@dataclass(frozen=True)
class RankArea:
    """One rank in a span of a step.

    `states` has the nanoseconds of each of `STATES`; with `unlisted_ns`, which are bubbles that are
    too short for the list of a run with very many, they add up to the span. `names` (columns
    `BY_NAME`) adds up what ran by kind and name, each activity for itself: where several run at
    once, their times add up to more than the span.
    """

    rank: int
    span_ns: int
    states: dict[str, int]
    unlisted_ns: int
    transfers: Transfers
    names: pd.DataFrame


def rank_area(
    events: pd.DataFrame, regions: pd.DataFrame, rank: int, step: int, span: tuple[int, int]
) -> RankArea:
    """What a rank does in a span of a step, ``[start, end)`` on the run's clock.

    `events` are the rank's, `regions` the bubble regions of the run's accounting.
    """
    start, end = span
    touching = events[(events[START] < end) & (events[END] > start)]
    touching = touching.sort_values(START, kind="stable")
    rows = make_rows(touching, np.full(len(touching), -1, np.int32)).cut(start, end)
    activity = Activity(rank, step, start, end, rows)
    sums = dict(zip(STATES, make_timeline(activity, []).states_ns().tolist(), strict=True))
    idle = sum(sums[state] for state in BUBBLE_STATES)
    own = regions[(regions[RANK] == rank) & (regions[STEP] == step)]
    bubbles = _bubbles(own, start, end)
    return RankArea(
        rank=rank,
        span_ns=end - start,
        states=sums | bubbles,
        unlisted_ns=idle - sum(bubbles.values()),
        transfers=measure_transfers(activity),
        names=_names(rows),
    )


def _bubbles(regions: pd.DataFrame, start: int, end: int) -> dict[str, int]:
    starts, ends = regions[START].clip(lower=start), regions[END].clip(upper=end)
    lengths = (ends - starts).clip(lower=0)
    sums = lengths.groupby(regions[STATE].astype(str)).sum()
    return {state: int(sums.get(state, 0)) for state in BUBBLE_STATES}


def _names(rows: EventColumns) -> pd.DataFrame:
    kinds = np.array([*KINDS, ""], dtype=object)[rows.kinds]
    columns = {KIND: kinds, NAME: rows.names, COUNT: 1, TOTAL: rows.ends - rows.starts}
    return add_names([pd.DataFrame(columns)])


def add_names(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several tables by kind and name as one, most time first."""
    empty = pd.DataFrame({name: [] for name in BY_NAME}).astype({COUNT: "int64", TOTAL: "int64"})
    whole = pd.concat([empty, *tables], ignore_index=True)
    sums = whole.groupby([KIND, NAME], as_index=False, sort=False)[[COUNT, TOTAL]].sum()
    return sums.sort_values([TOTAL, NAME], ascending=[False, True], ignore_index=True)
