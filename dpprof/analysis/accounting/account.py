"""Where each rank's time went in every used step, to the nanosecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.accounting.assign_causes import claims_of
from dpprof.analysis.accounting.bubble_regions import (
    LeftOut,
    Regions,
    bubble_regions,
    longest_regions,
    regions_table,
)
from dpprof.analysis.accounting.host_time import HostTime
from dpprof.analysis.accounting.slot_dependencies import Needs, slot_needs
from dpprof.analysis.accounting.timeline import make_timeline, sum_by_state
from dpprof.analysis.events.rank_activity import Activity, Stragglers, rank_activities
from dpprof.analysis.overlap.by_kind import (
    Transfers,
    WholeCommunication,
    measure_including_wait,
    measure_transfers,
)
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows, marked_windows, outside_count, step_windows
from dpprof.runs.workers import WORTH_PROCESSES, map_forked
from dpprof.tables.columns import END, RANK, START, STEP
from dpprof.tables.intervals import EMPTY, index_at, make_intervals, union
from dpprof.tables.kinds import STATES

MOST_REGIONS = 500_000


@dataclass(frozen=True)
class Accounting:
    """The time accounts of a run.

    `states` has a row per rank and used step: rank, step, the step window ``start_ns`` and
    ``end_ns``, and one column per state of `STATES`, which add up to the window exactly.
    `outside` has the same rows and columns, counting only instants outside the rank's schedule
    slots. `regions` is the table of bubble regions (columns `REGIONS`); of a run with more than
    `MOST_REGIONS` it has the longest of each rank, and `left_out` says what is missing.
    `transfers` says what was communicated, in the order of the rows of `states`;
    `including_wait` the same of each rank over all used steps, with what it waited.
    `outside_steps` counts the events that run in no marked step, used or not.
    """

    states: pd.DataFrame
    outside: pd.DataFrame
    regions: pd.DataFrame
    transfers: tuple[Transfers, ...]
    including_wait: Mapping[int, WholeCommunication]
    left_out: LeftOut
    outside_steps: int


@dataclass(frozen=True)
class _Account:
    """One rank in one step."""

    rank: int
    step: int
    start_ns: int
    end_ns: int
    states: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]
    regions: Regions
    left_out: LeftOut
    transfers: Transfers


def account(run: Run) -> Accounting:
    """Put every instant of every rank and used step into one state (metrics.md, section 5).

    Never holds the events of more than one rank per core, unless the run itself does.
    """
    windows = step_windows(run)
    ranks = sorted(place.rank for place in run.places)
    most = max(1, MOST_REGIONS // max(1, len(ranks) * len(windows)))
    marked = marked_windows(run) if len(run.steps) else None
    needs, host = slot_needs(run), HostTime.of(run)
    accounts = _Accounts(run, windows, marked, Stragglers.of(run), needs, host, most)
    parallel = run.held.count >= WORTH_PROCESSES
    of_ranks = list(map_forked(accounts.of_rank, ranks, parallel=parallel))
    found = [one for many, _, _ in of_ranks for one in many]
    order = sorted(range(len(found)), key=lambda i: (found[i].step, found[i].rank))
    kept = [found[i] for i in order]
    return Accounting(
        states=_table(kept, [one.states for one in kept]),
        outside=_table(kept, [one.outside for one in kept]),
        regions=regions_table([one.regions for one in kept]),
        transfers=tuple(one.transfers for one in kept),
        including_wait=dict(zip(ranks, (whole for _, whole, _ in of_ranks), strict=True)),
        left_out=LeftOut(
            sum(one.left_out.regions for one in kept), sum(one.left_out.total_ns for one in kept)
        ),
        outside_steps=sum(count for _, _, count in of_ranks),
    )


@dataclass(frozen=True)
class _Accounts:
    """Makes the accounts of a rank from the events of that rank, and what is known of the run."""

    run: Run
    windows: Windows
    marked: Windows | None
    stragglers: Stragglers
    needs: dict[tuple[int, int], Needs]
    host: HostTime
    most_regions: int

    def of_rank(self, rank: int) -> tuple[list[_Account], WholeCommunication, int]:
        """Its accounts, in order of step, with waiting over all of them, and `outside_steps`."""
        events = self.run.held.of_rank(rank)
        activities = list(rank_activities(events, rank, self.windows, self.stragglers))
        outside = 0 if self.marked is None else outside_count(events, self.marked)
        accounts = [self._of(activity) for activity in activities]
        return accounts, measure_including_wait(activities), outside

    def _of(self, activity: Activity) -> _Account:
        slots = self.needs.get((activity.rank, activity.step))
        claims = claims_of(activity, slots, self.host)
        marks = EMPTY if slots is None else union(make_intervals(slots.starts, slots.ends))
        timeline = make_timeline(activity, claims, marks)
        free = index_at(marks, timeline.edges[:-1]) < 0
        every = bubble_regions(activity, timeline, claims, slots)
        regions, left_out = longest_regions(every, self.most_regions)
        return _Account(
            rank=activity.rank,
            step=activity.step,
            start_ns=activity.start_ns,
            end_ns=activity.end_ns,
            states=timeline.states_ns(),
            outside=sum_by_state(timeline.codes[free], timeline.lengths[free]),
            regions=regions,
            left_out=left_out,
            transfers=measure_transfers(activity),
        )


def _table(kept: Sequence[_Account], sums: list[npt.NDArray[np.int64]]) -> pd.DataFrame:
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
