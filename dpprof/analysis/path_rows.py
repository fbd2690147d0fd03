"""The events of one rank as the critical path needs them: each knows which one came before it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.messages import sends
from dpprof.tables.columns import (
    END,
    KIND,
    LANE,
    LAUNCH,
    MICRO_BATCH,
    NAME,
    OPERATION,
    PART,
    READY,
    SLOT,
    START,
    STEP,
)
from dpprof.tables.kinds import COMMUNICATION_KINDS

NONE = -1

BACK_TO_BACK_NS = 5_000
"""A lane whose last activity ended this shortly before was busy: it had no time to wait."""

LATE_NS = {"simulated": 0, "captured": 100_000, "emulated": 1_000_000}
"""How much later than in truth labels of host threads end, by source: a thread ends its label when
it runs again; an emulated message tells its arrival ahead, and its label ends after it is used."""

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]


class Chain(NamedTuple):
    """Rows from late to early; `stops` where the last of them waited for a peer."""

    rows: list[int]
    stops: bool


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

    @cached_property
    def _steps_back(self) -> tuple[memoryview, memoryview]:
        """`previous` and `leads` as what gives Python's own numbers, without a copy."""
        return self.previous.data, self.leads.data

    def chain(self, row: int, seen: Collection[int] = ()) -> Chain:
        """The way back from a row until the rank has nothing before, or waited for a peer.

        Where the path has gone to the peer before (`seen`), it does not again.
        """
        previous, leads = self._steps_back
        rows = [row]
        while not leads[row] or row in seen:
            row = previous[row]
            if row == NONE:
                return Chain(rows, False)
            rows.append(row)
        return Chain(rows, True)

    def text(self, column: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """What rows say in a text column."""
        codes, values = self.texts[column]
        return np.append(values, "")[codes[rows]]

    def last(self, step: int, time: int) -> int:
        """The last row of a step to end by `time`, `NONE` where there is none."""
        first, after = self.limits.get(step, (0, 0))
        row = first + int(np.searchsorted(self.ends[first:after], time, side="right")) - 1
        return row if row >= first else NONE

    def of_number(self, number: int) -> int:
        """The row of a communication, `NONE` where it holds no instant."""
        return int(self.rows_of[number])


def make_path_rows(
    events: pd.DataFrame,
    steps: Collection[int],
    leads: npt.NDArray[np.bool_],
    late_ns: int = 0,
) -> PathRows:
    """`PathRows` of the events of one rank (columns `EVENTS`) in the given steps.

    `leads` says which of its communications waited for a peer that is known, however late that
    peer came by the trace. Of two activities of which one waited for the other, that one may end
    up to `late_ns` after the other began.
    """
    communicates = events[KIND].isin(COMMUNICATION_KINDS).to_numpy()
    number = np.where(communicates, np.cumsum(communicates) - 1, NONE).astype(np.int32)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    step = events[STEP].to_numpy(np.int64)
    kept = np.flatnonzero(np.isin(step, list(steps)) & (ends > starts))
    # Of what ends at one instant, computation comes last and so is found first: it makes, while
    # communication hands on.
    kept = kept[np.lexsort((starts[kept], ~communicates[kept], ends[kept], step[kept]))]
    texts = {name: _coded(events[name], kept) for name in (LANE, KIND, SLOT, NAME)}
    counted = number[kept]
    rows_of = np.full(int(communicates.sum()), NONE, dtype=np.int32)
    rows_of[counted[counted >= 0]] = np.flatnonzero(counted >= 0)
    limits = _limits(step[kept])
    ready = np.where(communicates, events[READY], NONE)[kept]
    begin = np.clip(ready, starts[kept], ends[kept])
    launches = events[LAUNCH].to_numpy(np.int64)[kept]
    return PathRows(
        begin=begin,
        ends=ends[kept],
        leads=np.append(leads, False)[counted] & (starts[kept] <= ready),
        launches=np.where(begin > starts[kept], NONE, launches),
        previous=_previous((starts[kept], ends[kept]), _said(events, kept), limits, late_ns),
        number=counted,
        texts=texts,
        limits=limits,
        rows_of=rows_of,
    )


def _limits(step: Times) -> dict[int, tuple[int, int]]:
    present, first = np.unique(step, return_index=True)
    after = np.append(first, len(step))[1:]
    numbers = zip(present.tolist(), first.tolist(), after.tolist(), strict=True)
    return {step: (low, high) for step, low, high in numbers}


def _coded(
    column: pd.Series[str], kept: npt.NDArray[np.intp]
) -> tuple[Rows, npt.NDArray[np.object_]]:
    codes, values = pd.factorize(column.iloc[kept])
    return codes.astype(np.int32), np.asarray(values.astype(str), dtype=object)


def _tasks(events: pd.DataFrame, kept: npt.NDArray[np.intp]) -> Times:
    """A number for micro-batch and way (forward, backward) of each row, -1 where not known."""
    micro_batch = events[MICRO_BATCH].to_numpy(np.int64)[kept]
    part, operation = events[PART].iloc[kept], events[OPERATION].iloc[kept]
    forward = ((part == "F") | ((part == "") & (operation == "F"))).to_numpy()
    return np.where(micro_batch >= 0, 2 * micro_batch + forward, -1)


class _Said(NamedTuple):
    """What is known of the rows beside their times."""

    lanes: Rows
    tasks: Times
    messages: npt.NDArray[np.bool_]
    sending: npt.NDArray[np.bool_]

    def part(self, first: int, after: int) -> _Said:
        part = slice(first, after)
        lanes, tasks = self.lanes[part], self.tasks[part]
        return _Said(lanes, tasks, self.messages[part], self.sending[part])


def _said(events: pd.DataFrame, kept: npt.NDArray[np.intp]) -> _Said:
    messages = (events[KIND].iloc[kept] == COMMUNICATION_KINDS[0]).to_numpy()
    sending = np.zeros(len(kept), dtype=bool)
    sending[messages] = sends(events.iloc[kept[messages]])
    return _Said(_coded(events[LANE], kept)[0], _tasks(events, kept), messages, sending)


def _previous(
    spans: tuple[Times, Times], said: _Said, limits: dict[int, tuple[int, int]], late_ns: int
) -> Rows:
    previous = np.full(len(spans[0]), NONE, dtype=np.int32)
    for first, after in limits.values():
        part = spans[0][first:after], spans[1][first:after]
        chosen = _previous_in_step(part, said.part(first, after), late_ns)
        previous[first:after] = np.where(chosen >= 0, chosen + first, NONE)
    return previous


def _previous_in_step(spans: tuple[Times, Times], said: _Said, late_ns: int) -> Times:
    starts, ends = spans
    own = np.full(len(starts), NONE, dtype=np.int64)
    order = np.argsort(said.lanes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(said.lanes[order])) + 1):
        own[rows] = np.append(rows, NONE)[_latest(starts[rows], ends[rows])]
    anywhere = _of_same_task(spans, said.tasks, _latest(starts, ends))
    if late_ns:
        late = _latest(starts + late_ns, ends)
        anywhere = np.where(starts[late] < starts, late, anywhere)
    made = _before_message(spans, own, ~said.messages, late_ns)
    anywhere = np.where(said.messages & (made >= 0), made, anywhere)
    return _chosen(spans, (own, anywhere), np.where(said.sending, 0, late_ns))


def _before_message(
    spans: tuple[Times, Times], own: Times, makes: npt.NDArray[np.bool_], late_ns: int
) -> Times:
    """For each row, as if it were a message, what it waited for on its own rank.

    What a message carries was computed, and its lane may have been busy; it does not wait for
    messages of other lanes.
    """
    starts, ends = (np.append(times, np.iinfo(np.int64).min // 2) for times in spans)
    makers = np.append(np.flatnonzero(makes), NONE)
    made = makers[_latest(spans[0], ends[makers[:-1]])]
    late = makers[_latest(spans[0] + late_ns, ends[makers[:-1]])]
    made = np.where(starts[late] < spans[0], late, made)
    return np.where(ends[own] > ends[made], own, made)


def _of_same_task(spans: tuple[Times, Times], tasks: Times, latest: Times) -> Times:
    """Of several rows that end at the instant at which a row starts, one of its own task."""
    starts, ends = spans
    padded = np.append(ends, NONE)
    several = (padded[latest] == starts) & (latest > 0) & (padded[latest - 1] == starts)
    several &= tasks >= 0
    result = latest.copy()
    for row in np.flatnonzero(several):
        first = int(np.searchsorted(ends, starts[row], side="left"))
        same = np.flatnonzero(tasks[first : latest[row] + 1] == tasks[row])
        if len(same):
            result[row] = first + same[-1]
    return result


def _latest(starts: Times, ends: Times) -> Times:
    """For each row the last one to end by its start; rows are sorted by end."""
    return np.searchsorted(ends, starts, side="right") - 1


def _chosen(spans: tuple[Times, Times], found: tuple[Times, Times], late_ns: Times) -> Times:
    """The lane's own one if it was busy until then, else the last of all lanes to end."""
    starts, ends = spans
    own, anywhere = found
    padded = np.append(ends, np.iinfo(np.int64).min // 2)
    gap, least = starts - padded[own], starts - padded[anywhere]
    short = gap <= np.maximum(BACK_TO_BACK_NS, late_ns)
    busy = (own >= 0) & ((gap == 0) | (short & ((least > 0) | (late_ns > 0))))
    return np.where(busy, own, anywhere)
