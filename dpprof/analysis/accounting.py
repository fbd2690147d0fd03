"""Where each rank's time went in every used step, to the nanosecond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.activity import Activity, activities
from dpprof.analysis.causes import claims_of
from dpprof.analysis.needs import slot_needs
from dpprof.analysis.regions import bubble_regions, regions_table
from dpprof.analysis.timeline import make_timeline, sum_by_state
from dpprof.runs.run import Run
from dpprof.tables.columns import END, RANK, START, STEP
from dpprof.tables.intervals import index_at, make_intervals, union
from dpprof.tables.kinds import STATES


@dataclass(frozen=True)
class Accounting:
    """The time accounts of a run.

    `states` has a row per rank and used step: rank, step, the step window ``start_ns`` and
    ``end_ns``, and one column per state of `STATES`, which add up to the window exactly.
    `outside` has the same rows and columns, counting only instants outside the rank's schedule
    slots. `regions` is the table of bubble regions (columns `REGIONS`), `activities` what the
    ranks did, in the order of the rows of `states`.
    """

    states: pd.DataFrame
    outside: pd.DataFrame
    regions: pd.DataFrame
    activities: tuple[Activity, ...]


def account(run: Run) -> Accounting:
    """Put every instant of every rank and used step into one state (metrics.md, section 5)."""
    needs = slot_needs(run)
    states, outside, regions = [], [], []
    kept = tuple(activities(run))
    for activity in kept:
        slots = needs.get((activity.rank, activity.step))
        claims = claims_of(activity, slots, has_host=run.source != "simulated")
        marks = (
            make_intervals([], [])
            if slots is None
            else union(make_intervals(slots.starts, slots.ends))
        )
        timeline = make_timeline(activity, claims, marks)
        free = index_at(marks, timeline.edges[:-1]) < 0
        states.append(timeline.states_ns())
        outside.append(sum_by_state(timeline.codes[free], timeline.lengths[free]))
        regions.append(bubble_regions(activity, timeline, claims, slots))
    return Accounting(_table(kept, states), _table(kept, outside), regions_table(regions), kept)


def _table(kept: tuple[Activity, ...], sums: list[npt.NDArray[np.int64]]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            RANK: [one.rank for one in kept],
            STEP: [one.step for one in kept],
            START: [one.start_ns for one in kept],
            END: [one.end_ns for one in kept],
        }
    )
    values = np.array(sums, dtype=np.int64).reshape(len(sums), len(STATES))
    states = pd.DataFrame(values, columns=pd.Index(STATES))
    return pd.concat([frame.astype("int64"), states], axis=1)
