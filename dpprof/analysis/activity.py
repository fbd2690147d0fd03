"""What each rank did in each step, as interval sets: the raw material of every time metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dpprof.analysis.rows import COMMUNICATION_CODES, Rows, make_rows
from dpprof.runs.run import Run
from dpprof.tables.columns import END, RANK, START, STEP
from dpprof.tables.intervals import Intervals, make_intervals, union
from dpprof.tables.kinds import COMPUTE, KINDS, MEMORY


@dataclass(frozen=True)
class Activity:
    """The activity of one rank in one step, with the step window ``[start_ns, end_ns)``.

    `rows` are its events, sorted by start.
    """

    rank: int
    step: int
    start_ns: int
    end_ns: int
    rows: Rows

    @property
    def window_ns(self) -> int:
        """Length of the step window."""
        return self.end_ns - self.start_ns

    @cached_property
    def compute(self) -> Intervals:
        """When the rank computes (union over lanes)."""
        return self._transfer_union(KINDS.index(COMPUTE))

    @cached_property
    def memory(self) -> Intervals:
        """When the rank copies or sets memory (union over lanes)."""
        return self._transfer_union(KINDS.index(MEMORY))

    @cached_property
    def transfers(self) -> dict[str, Intervals]:
        """Communication kind -> when a transfer of that kind is under way; kinds present only."""
        return {KINDS[code]: self._transfer_union(code) for code in self._kinds_present}

    @cached_property
    def waits(self) -> dict[str, Intervals]:
        """Communication kind -> when an operation of that kind waits for its peers."""
        waits = {}
        for code in self._kinds_present:
            chosen = self.rows.kinds == code
            waits[KINDS[code]] = union(
                make_intervals(self.rows.starts[chosen], self.rows.transfers_ns[chosen])
            )
        return waits

    @cached_property
    def unsplit_kinds(self) -> frozenset[str]:
        """Communication kinds of which waiting and transferring cannot be told apart."""
        return frozenset(KINDS[code] for code in np.unique(self.rows.kinds[self.rows.unsplit]))

    @cached_property
    def busy(self) -> Intervals:
        """When the rank computes, transfers or copies: all that is no bubble."""
        return union(self.compute, self.memory, *self.transfers.values())

    @cached_property
    def _kinds_present(self) -> tuple[int, ...]:
        present = set(np.unique(self.rows.kinds).tolist())
        return tuple(code for code in COMMUNICATION_CODES if code in present)

    def _transfer_union(self, code: int) -> Intervals:
        chosen = self.rows.kinds == code
        return union(make_intervals(self.rows.transfers_ns[chosen], self.rows.ends[chosen]))


def step_windows(run: Run) -> dict[int, tuple[int, int]]:
    """Used step -> ``[earliest activity of any rank, latest end of any rank)``.

    Steps without any activity are left out.
    """
    used = run.events[run.events[STEP].isin(run.used_steps)]
    limits = used.groupby(STEP).agg({START: "min", END: "max"})
    return {
        int(step): (int(start), max(int(start), int(end)))
        for step, start, end in limits.itertuples(name=None)
    }


def activities(run: Run) -> Iterator[Activity]:
    """The activity of every rank of the run in every used step, by step, then by rank."""
    windows = step_windows(run)
    events = run.events[run.events[STEP].isin(list(windows))]
    events = events.sort_values([STEP, RANK, START], kind="stable", ignore_index=True)
    rows = make_rows(events)
    steps, ranks = events[STEP].to_numpy(np.int64), events[RANK].to_numpy(np.int64)
    for step, (start, end) in windows.items():
        first, last = np.searchsorted(steps, [step, step + 1])
        for rank in sorted(place.rank for place in run.places):
            low, high = first + np.searchsorted(ranks[first:last], [rank, rank + 1])
            yield Activity(rank, step, start, end, rows.part(low, high))
