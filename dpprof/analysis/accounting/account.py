"""Where each rank's time went in every used step, to the nanosecond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

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
from dpprof.analysis.accounting.timeline import Timeline, make_timeline, sum_by_state
from dpprof.analysis.events.rank_activity import Activity, Stragglers, activities_with_events
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
from dpprof.tables.intervals import EMPTY, Intervals, index_at, make_intervals, union
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


_Step = TypeVar("_Step")
_Rank = TypeVar("_Rank", covariant=True)
_Result = TypeVar("_Result")


class RankAccounts(Protocol[_Step, _Rank]):
    """What else is made of each rank while its events are at hand; passed to other processes."""

    def pieces(self, activity: Activity) -> Intervals:
        """Where else the timeline of the rank in a step has to be cut."""

    def of_step(
        self, activity: Activity, events: pd.DataFrame, timeline: Timeline, regions: Regions
    ) -> _Step:
        """What is kept of one step; row i of the activity is row i of `events`."""

    def of_rank(self, rank: int, steps: Sequence[_Step]) -> _Rank:
        """What is kept of a rank."""


class _Nothing:
    """Nothing else."""

    def pieces(self, activity: Activity) -> Intervals:
        return EMPTY

    def of_step(self, *_: Any) -> None:
        return None

    def of_rank(self, *_: Any) -> None:
        return None


def account(run: Run) -> Accounting:
    """Put every instant of every rank and used step into one state (metrics.md, section 5).

    Never holds the events of more than one rank per core, unless the run itself does.
    """
    return account_with(run, _Nothing())[0]


def account_with(
    run: Run, also: RankAccounts[Any, _Result]
) -> tuple[Accounting, tuple[_Result, ...]]:
    """The accounts of a run, and what else is made of each rank in the same pass, by rank."""
    windows = step_windows(run)
    ranks = sorted(place.rank for place in run.places)
    most = max(1, MOST_REGIONS // max(1, len(ranks) * len(windows)))
    marked = marked_windows(run) if len(run.steps) else None
    needs, host = slot_needs(run), HostTime.of(run)
    accounts = _Accounts(run, windows, marked, Stragglers.of(run), needs, host, most, also)
    parallel = run.held.count >= WORTH_PROCESSES
    of_ranks = list(map_forked(accounts.of_rank, ranks, parallel=parallel))
    return _accounting(ranks, of_ranks), tuple(one.also for one in of_ranks)


def _accounting(ranks: Sequence[int], of_ranks: Sequence[_OfRank[Any]]) -> Accounting:
    found = [account for one in of_ranks for account in one.accounts]
    kept = sorted(found, key=lambda one: (one.step, one.rank))
    return Accounting(
        states=_table(kept, [one.states for one in kept]),
        outside=_table(kept, [one.outside for one in kept]),
        regions=regions_table([one.regions for one in kept]),
        transfers=tuple(one.transfers for one in kept),
        including_wait=dict(zip(ranks, (one.including_wait for one in of_ranks), strict=True)),
        left_out=LeftOut(
            sum(one.left_out.regions for one in kept), sum(one.left_out.total_ns for one in kept)
        ),
        outside_steps=sum(one.outside_count for one in of_ranks),
    )


@dataclass(frozen=True)
class _OfRank(Generic[_Result]):
    """One rank: its accounts in order of step, and figures over all of them."""

    accounts: list[_Account]
    including_wait: WholeCommunication
    outside_count: int
    also: _Result


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
    also: RankAccounts[Any, Any]

    def of_rank(self, rank: int) -> _OfRank[Any]:
        """Its accounts, from its events."""
        events = self.run.held.of_rank(rank)
        found = list(activities_with_events(events, rank, self.windows, self.stragglers))
        outside = 0 if self.marked is None else outside_count(events, self.marked)
        made = [self._of(activity, part) for activity, part in found]
        return _OfRank(
            [one for one, _ in made],
            measure_including_wait([activity for activity, _ in found]),
            outside,
            self.also.of_rank(rank, [step for _, step in made]),
        )

    def _of(self, activity: Activity, events: pd.DataFrame) -> tuple[_Account, Any]:
        slots = self.needs.get((activity.rank, activity.step))
        claims = claims_of(activity, slots, self.host)
        marks = EMPTY if slots is None else union(make_intervals(slots.starts, slots.ends))
        timeline = make_timeline(activity, claims, [marks, self.also.pieces(activity)])
        every = bubble_regions(activity, timeline, claims, slots)
        also = self.also.of_step(activity, events, timeline, every)
        return self._account(activity, timeline, marks, every), also

    def _account(
        self, activity: Activity, timeline: Timeline, marks: Intervals, every: Regions
    ) -> _Account:
        free = index_at(marks, timeline.edges[:-1]) < 0
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
