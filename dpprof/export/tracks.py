"""The tracks of one rank in an exported trace, each a function from a table to events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.export.chrome import (
    Event,
    Nanoseconds,
    counter,
    disjoint_rows,
    microseconds,
    slices,
    track_name,
)
from dpprof.export.exposed import exposed_intervals
from dpprof.tables.columns import (
    ALLOCATED,
    AT,
    BYTES,
    CAUSE,
    CAUSE_KIND,
    CAUSE_RANK,
    COMPONENT,
    CORRELATION,
    END,
    GROUP,
    KIND,
    LANE,
    LAYER,
    NAME,
    OPERATION,
    PEER,
    PHASE,
    READY,
    RESERVED,
    SEQUENCE,
    SLOT,
    STAGE,
    START,
    STATE,
    STEP,
)
from dpprof.tables.intervals import index_at

_ARGUMENTS = (STEP, SLOT, COMPONENT, LAYER, STAGE, GROUP, PEER, BYTES, SEQUENCE, CORRELATION)


class TrackGroup:
    """A group of tracks that is being filled: it hands out their numbers in order."""

    def __init__(self, pid: int, origin_ns: int) -> None:
        self.pid = pid
        self.origin_ns = origin_ns
        self._tracks = 0

    def since_origin(self, table: pd.DataFrame, column: str) -> Nanoseconds:
        """The times of a column, from the trace's origin."""
        times: Nanoseconds = table[column].to_numpy(np.int64) - self.origin_ns
        return times

    def tracks(
        self, title: str, table: pd.DataFrame
    ) -> tuple[npt.NDArray[np.int64], Iterator[Event]]:
        """The track of each row, and their names: more than one where rows overlap in time."""
        rows = disjoint_rows(table[START].to_numpy(np.int64), table[END].to_numpy(np.int64))
        first, count = self._tracks + 1, int(rows.max(initial=-1)) + 1
        self._tracks += count
        titles = [title, *(f"{title} ({row + 1})" for row in range(1, count))][:count]
        names = [track_name(self.pid, first + row, text) for row, text in enumerate(titles)]
        return first + rows, chain.from_iterable(names)


def _draw(
    group: TrackGroup,
    table: pd.DataFrame,
    tids: npt.NDArray[np.int64],
    names: str,
    categories: Sequence[str] | str,
    arguments: dict[str, Sequence[Any]],
) -> Iterator[Event]:
    spans = (group.since_origin(table, START), group.since_origin(table, END))
    kinds = [categories] * len(table) if isinstance(categories, str) else categories
    return slices(group.pid, tids.tolist(), _values(table, names), kinds, spans, arguments)


def _values(table: pd.DataFrame, column: str) -> list[Any]:
    return table[column].astype(object).tolist()


def _arguments(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Sequence[Any]]:
    return {column: _values(table, column) for column in columns}


def step_track(group: TrackGroup, states: pd.DataFrame) -> Iterator[Event]:
    """The step windows; `states` are accounts of one rank."""
    tids, named = group.tracks("steps", states)
    titled = states.assign(**{NAME: [f"step {step}" for step in states[STEP].tolist()]})
    return chain(named, _draw(group, titled, tids, NAME, "step", _arguments(states, [STEP])))


def slot_track(
    group: TrackGroup, slots: pd.DataFrame
) -> tuple[npt.NDArray[np.int64], Iterator[Event]]:
    """The track of each schedule slot of one rank, and the tracks' events."""
    tids, named = group.tracks("slots", slots)
    arguments = _arguments(slots, [STEP, OPERATION])
    return tids, chain(named, _draw(group, slots, tids, SLOT, "slot", arguments))


def bubble_track(group: TrackGroup, regions: pd.DataFrame) -> Iterator[Event]:
    """The bubble regions of one rank, named by their state."""
    tids, named = group.tracks("bubbles", regions)
    arguments = _arguments(regions, [STEP, PHASE, CAUSE_KIND, CAUSE, CAUSE_RANK, SLOT])
    return chain(named, _draw(group, regions, tids, STATE, "bubble", arguments))


def lane_tracks(
    group: TrackGroup, events: pd.DataFrame
) -> tuple[npt.NDArray[np.int64], Iterator[Event]]:
    """The track of each event of one rank, and the tracks' events: one track per lane.

    A matched communication says how long it waited for its peers.
    """
    tids = np.zeros(len(events), dtype=np.int64)
    parts: list[Iterator[Event]] = []
    lanes = events[LANE].astype(str).to_numpy(object)
    for lane in pd.unique(lanes):
        chosen = np.flatnonzero(lanes == lane)
        table = events.iloc[chosen]
        tids[chosen], named = group.tracks(lane, table)
        arguments = _arguments(table, _ARGUMENTS) | {"waited_us": _waited(table)}
        kinds = _values(table, KIND)
        parts += [named, _draw(group, table, tids[chosen], NAME, kinds, arguments)]
    return tids, chain.from_iterable(parts)


def _waited(events: pd.DataFrame) -> list[float]:
    """Microseconds until all participants were there; -1 where that is not known."""
    starts, ends, ready = (events[name].to_numpy(np.int64) for name in (START, END, READY))
    waited = np.clip(ready, starts, np.maximum(starts, ends)) - starts
    known = microseconds(waited)
    return [value if instant >= 0 else -1 for value, instant in zip(known, ready, strict=True)]


def memory_counter(group: TrackGroup, curve: pd.DataFrame) -> Iterator[Event]:
    """The memory curve of one rank; reserved bytes only where they are known."""
    series = {
        "allocated bytes": curve[ALLOCATED].tolist(),
        "reserved bytes": curve[RESERVED].tolist(),
    }
    return counter(group.pid, "memory", group.since_origin(curve, AT), series)


def exposed_counter(group: TrackGroup, events: pd.DataFrame) -> Iterator[Event]:
    """1 while communication of a kind is exposed, 0 else; `events` are of one rank."""
    exposed = exposed_intervals(events)
    at_ns = np.unique(np.concatenate([np.zeros(0, np.int64), *chain(*exposed.values())]))
    series = {
        kind: (index_at(intervals, at_ns) >= 0).astype(int).tolist()
        for kind, intervals in exposed.items()
    }
    if series:
        yield from counter(group.pid, "exposed communication", at_ns - group.origin_ns, series)
