"""The events of one rank as the critical path needs them: each knows which one came before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.critical_path.needed_rows import GUESS, PathTimes, needed_rows
from dpprof.analysis.critical_path.predecessors import NONE, Rows, Times, coded, previous_rows, said
from dpprof.runs.windows import Windows
from dpprof.tables.columns import (
    END,
    KIND,
    LANE,
    LAUNCH,
    NAME,
    READY,
    SLOT,
    START,
)
from dpprof.tables.kinds import COMMUNICATION_KINDS

LATE_NS = {"simulated": 0, "captured": 100_000, "emulated": 1_000_000}
"""How much later than in truth labels of host threads end, by source: a thread ends its label when
it runs again; an emulated message tells its arrival ahead, and its label ends after it is used."""


NO_ROW = -2
"""Of a communication that holds no instant."""


@dataclass(frozen=True)
class PathRows:
    """Events that hold an instant, by step and end.

    Row i works from ``begin[i]`` on: its start, or, where it waited for peers, when the last of
    them came; at its end where that is later still. ``leads[i]`` says that the peer is known.
    ``launches[i]`` is when it was launched, `NONE` where not known or where it waited.
    ``previous[i]`` is the row that let row i start, `NONE` for the first. `number` counts the
    rank's communications in the order of its events. `texts` has codes and values of the text
    columns. ``limits[step]`` are the first row of a step and the first after it.
    """

    begin: Times
    ends: Times
    leads: npt.NDArray[np.bool_]
    launches: Times
    previous: Rows
    number: Rows
    texts: dict[str, tuple[Rows, npt.NDArray[np.object_]]]
    limits: dict[int, tuple[int, int]]
    rows_of: Rows  # by number

    def __len__(self) -> int:
        return len(self.ends)

    def line(self, row: int, stop: int) -> list[int]:
        """The rows from `row` back to communication `stop`, or to the first where it is `NONE`."""
        previous, last = self.previous.data, self.of_number(stop)
        found: list[int] = []
        while row != NONE:
            found.append(row)
            row = NONE if row == last else previous[row]
        return found

    def lead_from(self, row: int) -> int:
        """The number of the first communication from a row back that waited for a peer."""
        while row != NONE and not self.leads[row]:
            row = int(self.previous[row])
        return NONE if row == NONE else int(self.number[row])

    def way_back(self) -> Rows:
        """For each communication the number of the one before it that waited for a peer.

        `NONE` where there is none before it, `NO_ROW` for one that holds no instant.
        """
        rows = np.arange(len(self) + 1, dtype=np.int32)
        lead = np.where(np.append(self.leads, True), rows, np.append(self.previous, NONE))
        lead[lead == NONE] = len(self)  # the row after the last stands for no row
        for _ in range(len(self).bit_length()):  # each time twice as far back
            lead = lead[lead]
        number = np.append(self.number, np.int32(NONE))
        before = np.append(self.previous, np.int32(NONE))[self.rows_of]
        return np.where(self.rows_of == NONE, NO_ROW, number[lead[before]]).astype(np.int32)

    def text(self, column: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """What rows say in a text column; nothing for `NONE`."""
        codes, values = self.texts[column]
        found: npt.NDArray[np.object_] = np.append(values, "")[np.append(codes, NONE)[rows]]
        return found

    def last(self, step: int, time: int) -> int:
        """The last row of a step to end by `time`, `NONE` where there is none."""
        first, after = self.limits.get(step, (0, 0))
        row = first + int(np.searchsorted(self.ends[first:after], time, side="right")) - 1
        return row if row >= first else NONE

    def of_number(self, number: int) -> int:
        """The row of a communication, `NONE` where it holds no instant or there is none."""
        return NONE if number == NONE else int(self.rows_of[number])


def make_path_rows(
    events: pd.DataFrame,
    windows: Windows,
    leads: npt.NDArray[np.bool_],
    late_ns: int = 0,
    waits: pd.DataFrame | None = None,
) -> PathRows:
    """`PathRows` of the events of one rank (columns `EVENTS`), each in the step in which it ends.

    What begins before the window of that step counts from its start.

    `leads` says which of its communications waited for a peer that is known, however late that
    peer came by the trace. Of two activities of which one waited for the other, that one may end
    up to `late_ns` after the other began. With `waits` (columns `WAITS`) it is known what
    waited for what.
    """
    communicates = events[KIND].isin(COMMUNICATION_KINDS).to_numpy()
    number = np.where(communicates, np.cumsum(communicates) - 1, NONE).astype(np.int32)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    step, opens = _ends_in(ends, windows)
    starts = np.maximum(starts, opens)
    kept = np.flatnonzero((step != NONE) & (ends > starts))
    # Of what ends at one instant, computation comes last and so is found first: it makes, while
    # communication hands on.
    kept = kept[np.lexsort((starts[kept], ~communicates[kept], ends[kept], step[kept]))]
    texts = {name: coded(events[name], kept) for name in (LANE, KIND, SLOT, NAME)}
    counted = number[kept]
    rows_of = np.full(int(communicates.sum()), NONE, dtype=np.int32)
    rows_of[counted[counted >= 0]] = np.flatnonzero(counted >= 0)
    limits = _limits(step[kept])
    ready = np.where(communicates, events[READY], NONE)[kept]
    begin = np.clip(ready, starts[kept], ends[kept])
    launches = events[LAUNCH].to_numpy(np.int64)[kept]
    previous = previous_rows((starts[kept], ends[kept]), said(events, kept), limits, late_ns)
    if waits is not None:
        times = PathTimes(starts[kept], ends[kept], launches)
        needed = needed_rows(events, waits, kept, times, limits)
        previous = np.where(needed == GUESS, previous, needed).astype(np.int32)
    return PathRows(
        begin=begin,
        ends=ends[kept],
        leads=np.append(leads, False)[counted] & (starts[kept] <= ready),
        launches=np.where(begin > starts[kept], NONE, launches),
        previous=previous,
        number=counted,
        texts=texts,
        limits=limits,
        rows_of=rows_of,
    )


def _ends_in(ends: Times, windows: Windows) -> tuple[Times, Times]:
    """For each end the step in whose window it lies, `NONE` for none, and where that begins."""
    limits = sorted((end, start, step) for step, (start, end) in windows.items())
    closes, opens, steps = np.array([*limits, (_NEVER, _NEVER, NONE)], dtype=np.int64).T
    found = np.searchsorted(closes[:-1], ends, side="left")
    inside = ends > opens[found]
    return np.where(inside, steps[found], NONE), np.where(inside, opens[found], 0)


_NEVER = int(np.iinfo(np.int64).max)


def _limits(step: Times) -> dict[int, tuple[int, int]]:
    present, first = np.unique(step, return_index=True)
    after = np.append(first, len(step))[1:]
    numbers = zip(present.tolist(), first.tolist(), after.tolist(), strict=True)
    return {step: (low, high) for step, low, high in numbers}
