"""What is at a point of the picture, or what a selection means, with everything known of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.detail.index import BUBBLES, SLOTS, lane_names, step_window
from dpprof.dashboards.timeline.picture_rows import PictureRow
from dpprof.dashboards.timeline.scene import Scene, SceneRun
from dpprof.dashboards.view.state import Selection
from dpprof.runs.windows import runs_in
from dpprof.tables.columns import END, RANK, READY, START, STEP

BUBBLE, EVENT, SLOT = "bubble", "event", "slot"

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Hit:
    """A row of a table that is at a point; times count from the start of the step.

    `number` counts among those of the same rank and table that start at the same time; `others` is
    how many more are at that point.
    """

    what: str
    run: SceneRun
    rank: int
    start_ns: int
    end_ns: int
    values: Mapping[str, Any]
    number: int = 0
    others: int = 0

    @property
    def selection(self) -> Selection:
        """What the URL says of it."""
        return Selection(self.what, self.run.run.id, self.rank, self.start_ns, self.number)


def hit_at(library: Library, scene: Scene, at_ns: int, y: float, near_ns: int) -> Hit | None:
    """What is drawn at a time of a row, or next to it by at most `near_ns`; None for nothing."""
    row = scene.rows.at(y)
    run = None if row is None else scene.run(row.run)
    if row is None or run is None:
        return None
    what = _what(row)
    found = _nearest(table_of(library, run, row.rank, what, row.name), run, at_ns, near_ns)
    if found is None and row.name != SLOTS:
        what = BUBBLE
        found = _nearest(table_of(library, run, row.rank, what), run, at_ns, near_ns)
    return None if found is None else _made(library, run, (row.rank, what), found)


def _what(row: PictureRow) -> str:
    return {SLOTS: SLOT, BUBBLES: BUBBLE}.get(row.name, EVENT)


def hit_of(library: Library, scene: Scene, selection: Selection | None) -> Hit | None:
    """What a selection means; None where there is no such thing in the picture."""
    run = None if selection is None else scene.run(selection.run)
    if selection is None or run is None or selection.rank not in run.ranks:
        return None
    table = table_of(library, run, selection.rank, selection.what)
    rows = np.flatnonzero(table[START].to_numpy() == run.origin_ns + selection.at_ns)
    if selection.number >= len(rows):
        return None
    found = table.iloc[[rows[selection.number]]]
    return _made(library, run, (selection.rank, selection.what), found)


def neighbour(library: Library, hit: Hit, by: int) -> Hit | None:
    """The next (1) or previous (-1) of the same rank: bubble, slot, or event of the same lane."""
    table = table_of(library, hit.run, hit.rank, hit.what)
    if hit.what == EVENT:
        names = lane_names(table, "streams")
        own = _rows_at(table, hit)[hit.number]
        table = table[names == names[own]]
    table = table.sort_values([START, END], kind="stable")
    starts = table[START].to_numpy() - hit.run.origin_ns
    place = int(np.searchsorted(starts, hit.start_ns, side="right" if by > 0 else "left"))
    place = place if by > 0 else place - 1
    if not 0 <= place < len(table):
        return None
    return _made(library, hit.run, (hit.rank, hit.what), table.iloc[[place]])


def longest_bubble(library: Library, scene: Scene) -> Hit | None:
    """The longest bubble region that begins in the range that is shown."""
    best: tuple[int, SceneRun, int, pd.DataFrame] | None = None
    for run in scene.runs:
        for rank in run.ranks:
            table = table_of(library, run, rank, BUBBLE)
            since = table[START] - run.origin_ns
            table = table[(since >= scene.start_ns) & (since < scene.end_ns)]
            if len(table):
                lengths = (table[END] - table[START]).to_numpy()
                row = int(lengths.argmax())
                if best is None or lengths[row] > best[0]:
                    best = (int(lengths[row]), run, rank, table.iloc[[row]])
    return None if best is None else _made(library, best[1], (best[2], BUBBLE), best[3])


def table_of(library: Library, run: SceneRun, rank: int, what: str, lane: str = "") -> pd.DataFrame:
    """The rows of the step: bubble regions, slots, or events (of one lane of the picture)."""
    if what == EVENT:
        table = rank_events(library, run, rank)
        return table if not lane else table[_in_lane(table, lane)]
    whole = run.run.accounting.regions if what == BUBBLE else run.run.run.slots
    return whole[(whole[RANK] == rank) & (whole[STEP] == run.step)]


def _in_lane(events: pd.DataFrame, lane: str) -> Any:
    together = lane_names(events, "together") == lane
    streams = lane_names(events, "streams") == lane
    # A thread of a CPU run may be called as a lane of ours: then both mean the same rows.
    return together if together.any() else streams


def rank_events(library: Library, run: SceneRun, rank: int) -> pd.DataFrame:
    """The events of a rank in the step; those of the ranks last asked for are held."""
    key = (run.run.id, run.step, rank)
    recent: Recent[pd.DataFrame] = library.kept("recent events", Recent)
    return recent.get(key, lambda: _events(run, rank))


def _events(run: SceneRun, rank: int) -> pd.DataFrame:
    events = run.run.run.held.of_rank(rank)
    return events[runs_in(events, step_window(run.run, run.step))]


class Recent(Generic[_Kept]):
    """What was asked for last; has state because reading a table takes time."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: dict[Hashable, _Kept] = {}

    def get(self, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """The value of `key`, made where it is not held; the one longest unused gives way."""
        with self._lock:
            value = self._values.pop(key, None)
            self._values[key] = make() if value is None else value
            while len(self._values) > self._most:
                self._values.pop(next(iter(self._values)))
            return self._values[key]


def _nearest(table: pd.DataFrame, run: SceneRun, at_ns: int, near_ns: int) -> pd.DataFrame | None:
    """Rows at a time, the last to start first; else the one row that is nearest.

    What transfers or computes goes before what only waits, as it does in the picture.
    """
    since = run.origin_ns + at_ns
    starts, ends = table[START].to_numpy(), table[END].to_numpy()
    waits_until = np.clip(table[READY], starts, ends) if READY in table else starts
    for begins in (waits_until, starts):
        distance = np.maximum(np.maximum(begins - since, since + 1 - ends), 0)
        inside = np.flatnonzero(distance == 0)
        if len(inside):
            return table.iloc[inside[np.argsort(-starts[inside], kind="stable")]]
        if len(table) and distance.min() <= near_ns:
            return table.iloc[[int(distance.argmin())]]
    return None


def _made(library: Library, run: SceneRun, at: tuple[int, str], found: pd.DataFrame) -> Hit:
    rank, what = at
    row = found.iloc[0]
    start, end = int(row[START]) - run.origin_ns, int(row[END]) - run.origin_ns
    whole = table_of(library, run, rank, what)
    same = whole.index[whole[START].to_numpy() == row[START]]
    return Hit(
        what=what,
        run=run,
        rank=rank,
        start_ns=start,
        end_ns=end,
        values={str(name): row[name] for name in found.columns},
        number=int(np.flatnonzero(same == row.name)[0]),
        others=len(found) - 1,
    )


def _rows_at(table: pd.DataFrame, hit: Hit) -> Sequence[int]:
    rows: list[int] = np.flatnonzero(
        table[START].to_numpy() == hit.run.origin_ns + hit.start_ns
    ).tolist()
    return rows
