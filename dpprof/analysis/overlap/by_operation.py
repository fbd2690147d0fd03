"""Which communication operations computing hides, and which it leaves exposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.event_columns import COMMUNICATION_CODES, EventColumns
from dpprof.analysis.events.rank_activity import (
    Activity,
    Stragglers,
    activities_with_events,
)
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows, step_windows
from dpprof.runs.workers import WORTH_PROCESSES, map_forked
from dpprof.tables.columns import (
    COUNT,
    EXPOSED,
    EXPOSURE,
    HIDDEN,
    KIND,
    NUMBER,
    OPERATIONS,
    START,
    STEP,
    TOTAL,
    WAIT,
    empty_table,
)
from dpprof.tables.concat import concat_tables
from dpprof.tables.intervals import Intervals, first_come, length_before

MOST_OPERATIONS = 50
"""Operations of each rank and kind that are listed one by one: so many of the longest exposed, and
so many of the longest."""

_TIMES = (TOTAL, HIDDEN, EXPOSED, WAIT)
_COUNTED = {**OPERATIONS, COUNT: "int64"}
_KEYS = [name for name in EXPOSURE if name not in (COUNT, *_TIMES)]


@dataclass(frozen=True)
class Exposure:
    """The communication of the used steps, by operation.

    `table` (columns `EXPOSURE`) adds up everything alike: of each rank and kind, its times add up
    to those of the report's `KindFigures` exactly. `longest` (columns `OPERATIONS`) has single
    operations, the most exposed and the longest of each rank and kind, the most exposed first.
    """

    table: pd.DataFrame
    longest: pd.DataFrame


def exposure(run: Run) -> Exposure:
    """What computing hides of every communication operation (metrics.md, sections 4 and 5).

    Where operations of a kind overlap on a rank, each instant belongs to the one that began to
    transfer first, so that nothing counts twice; the same holds for waiting.
    """
    measure = _Measure(run, step_windows(run), Stragglers.of(run))
    ranks = sorted(place.rank for place in run.places)
    parallel = run.held.count >= WORTH_PROCESSES
    found = list(map_forked(measure.of_rank, ranks, parallel=parallel))
    longest = concat_tables(OPERATIONS, [one.longest for one in found])
    return Exposure(
        table=concat_tables(EXPOSURE, [one.table for one in found]),
        longest=longest.sort_values([EXPOSED, START], ascending=[False, True], ignore_index=True),
    )


@dataclass(frozen=True)
class _Measure:
    """Measures one rank after another, from the events of that rank alone."""

    run: Run
    windows: Windows
    stragglers: Stragglers

    def of_rank(self, rank: int) -> Exposure:
        """The exposure of one rank."""
        events = self.run.held.of_rank(rank).reset_index(drop=True)
        steps = activities_with_events(events, rank, self.windows, self.stragglers)
        operations = _operations(events, [_times(found, activity) for activity, found in steps])
        longest = longest_of_kinds(operations[list(OPERATIONS)], MOST_OPERATIONS)
        return Exposure(_added_up(operations), longest)


def longest_of_kinds(operations: pd.DataFrame, most: int) -> pd.DataFrame:
    """Of each kind so many of the most exposed and of the longest, the most exposed first."""
    chosen = np.zeros(len(operations), dtype=bool)
    kinds = operations[KIND].to_numpy()
    for times in (operations[EXPOSED].to_numpy(), operations[TOTAL].to_numpy()):
        order = np.argsort(-times, kind="stable")
        place = pd.Series(kinds[order]).groupby(kinds[order]).cumcount().to_numpy()
        chosen[order[(place < most) & (times[order] > 0)]] = True
    return operations[chosen].sort_values([EXPOSED, START], ascending=[False, True])


_ROW = "row"
_MEASURED = (*_TIMES, NUMBER, STEP, COUNT)


def _operations(
    events: pd.DataFrame, steps: Sequence[Mapping[str, npt.NDArray[np.int64]]]
) -> pd.DataFrame:
    """The communications of all steps with their times: one table, as making many takes long."""
    empty = np.zeros(0, dtype=np.int64)
    rows = np.concatenate([empty, *(one[_ROW] for one in steps)])
    times = {name: np.concatenate([empty, *(one[name] for one in steps)]) for name in _MEASURED}
    said = events[[name for name in OPERATIONS if name not in times]].iloc[rows]
    return said.assign(**times)[[*OPERATIONS, COUNT]].astype(_COUNTED).reset_index(drop=True)


def _times(events: pd.DataFrame, activity: Activity) -> dict[str, npt.NDArray[np.int64]]:
    """The times of the communications among `events`, which are the rows of `activity`.

    Beside the times `_ROW` has the index of each of them.
    """
    rows, compute = activity.rows, activity.compute
    total, hidden, wait = (np.zeros(len(events), dtype=np.int64) for _ in range(3))
    for code in COMMUNICATION_CODES:
        chosen = np.flatnonzero(rows.kinds == code)
        spans, of = activity.transfer_pieces(chosen)
        pieces, owner = first_come(spans)
        owner = of[owner]
        np.add.at(total, chosen[owner], _outside(activity.fused, pieces))
        np.add.at(hidden, chosen[owner], _inside(compute, pieces))
        wait[chosen] = _waits(rows, chosen)
    starts = events[START].to_numpy()
    measured = {
        TOTAL: total,
        HIDDEN: hidden,
        EXPOSED: total - hidden,
        WAIT: wait,
        NUMBER: np.arange(len(events)) - np.searchsorted(starts, starts),
        STEP: np.full(len(events), activity.step),
        COUNT: rows.begins.astype(np.int64),
        _ROW: events.index.to_numpy(np.int64),
    }
    moving = np.flatnonzero(np.isin(rows.kinds, COMMUNICATION_CODES))
    return {name: values[moving] for name, values in measured.items()}


def _inside(covering: Intervals, pieces: Intervals) -> npt.NDArray[np.int64]:
    return length_before(covering, pieces.ends) - length_before(covering, pieces.starts)


def _outside(covering: Intervals, pieces: Intervals) -> npt.NDArray[np.int64]:
    return pieces.ends - pieces.starts - _inside(covering, pieces)


def _waits(rows: EventColumns, chosen: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """What each operation of a kind adds to the time in which that kind waits; -1: unsplit."""
    waits = np.zeros(len(chosen), dtype=np.int64)
    pieces, owner = first_come(Intervals(rows.starts[chosen], rows.transfers_ns[chosen]))
    np.add.at(waits, owner, pieces.ends - pieces.starts)
    return np.where(rows.unsplit[chosen], -1, waits)


def _added_up(operations: pd.DataFrame) -> pd.DataFrame:
    if operations.empty:
        return empty_table(EXPOSURE)
    split = operations.assign(split=operations[WAIT].clip(lower=0))
    grouped = split.groupby(_KEYS, observed=True, sort=False)
    sums = grouped[[COUNT, *_TIMES, "split"]].sum()
    sums[WAIT] = sums["split"].where(grouped[WAIT].max() >= 0, -1)
    return sums.reset_index()[list(EXPOSURE)].astype(EXPOSURE)
