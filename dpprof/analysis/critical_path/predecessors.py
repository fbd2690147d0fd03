"""Which activity of a rank let another one start, from their times, lanes and tasks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.pipeline_messages import sends
from dpprof.tables.columns import KIND, LANE, MICRO_BATCH, OPERATION, PART
from dpprof.tables.kinds import COMMUNICATION_KINDS

NONE = -1

BACK_TO_BACK_NS = 5_000
"""A lane whose last activity ended this shortly before was busy: it had no time to wait."""

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]


class MessageEnds(NamedTuple):
    """What is known of the rows beside their times."""

    lanes: Rows
    tasks: Times
    messages: npt.NDArray[np.bool_]
    sending: npt.NDArray[np.bool_]

    def part(self, first: int, after: int) -> MessageEnds:
        """Of the rows `first` to ``after - 1``."""
        part = slice(first, after)
        lanes, tasks = self.lanes[part], self.tasks[part]
        return MessageEnds(lanes, tasks, self.messages[part], self.sending[part])


def said(events: pd.DataFrame, kept: npt.NDArray[np.intp]) -> MessageEnds:
    """What the given rows of a rank's events (columns `EVENTS`) say."""
    messages = (events[KIND].iloc[kept] == COMMUNICATION_KINDS[0]).to_numpy()
    sending = np.zeros(len(kept), dtype=bool)
    sending[messages] = sends(events.iloc[kept[messages]])
    return MessageEnds(coded(events[LANE], kept)[0], _tasks(events, kept), messages, sending)


def coded(
    column: pd.Series[str], kept: npt.NDArray[np.intp]
) -> tuple[Rows, npt.NDArray[np.object_]]:
    """Codes and values of a text column in the given rows."""
    codes, values = pd.factorize(column.iloc[kept])
    return codes.astype(np.int32), np.asarray(values.astype(str), dtype=object)


def _tasks(events: pd.DataFrame, kept: npt.NDArray[np.intp]) -> Times:
    """A number for micro-batch and way (forward, backward) of each row, -1 where not known."""
    micro_batch = events[MICRO_BATCH].to_numpy(np.int64)[kept]
    part, operation = events[PART].iloc[kept], events[OPERATION].iloc[kept]
    forward = ((part == "F") | ((part == "") & (operation == "F"))).to_numpy()
    return np.where(micro_batch >= 0, 2 * micro_batch + forward, -1)


def previous_rows(
    spans: tuple[Times, Times], facts: MessageEnds, limits: dict[int, tuple[int, int]], late_ns: int
) -> Rows:
    """For each row the one of its step that let it start, `NONE` for the first.

    `spans` are starts and ends; rows are sorted by step and end, `limits` as in `PathRows`.
    """
    previous = np.full(len(spans[0]), NONE, dtype=np.int32)
    for first, after in limits.values():
        part = spans[0][first:after], spans[1][first:after]
        chosen = _previous_in_step(part, facts.part(first, after), late_ns)
        previous[first:after] = np.where(chosen >= 0, chosen + first, NONE)
    return previous


def _previous_in_step(spans: tuple[Times, Times], facts: MessageEnds, late_ns: int) -> Times:
    starts, ends = spans
    own = np.full(len(starts), NONE, dtype=np.int64)
    order = np.argsort(facts.lanes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(facts.lanes[order])) + 1):
        own[rows] = np.append(rows, NONE)[_latest(starts[rows], ends[rows])]
    anywhere = _of_same_task(spans, facts.tasks, _latest(starts, ends))
    if late_ns:
        late = _latest(starts + late_ns, ends)
        anywhere = np.where(starts[late] < starts, late, anywhere)
    made = _before_message(spans, own, ~facts.messages, late_ns)
    anywhere = np.where(facts.messages & (made >= 0), made, anywhere)
    return _chosen(spans, (own, anywhere), np.where(facts.sending, 0, late_ns))


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
