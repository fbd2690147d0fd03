"""The index of a run: the pieces of all its lanes, ready for pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.detail.names import Codes
from dpprof.dashboards.detail.pieces import (
    COLORINGS,
    Pieces,
    RankColumns,
    bubble_pieces,
    lane_pieces,
    slot_pieces,
    with_unlisted,
)
from dpprof.dashboards.detail.pixel_columns import Columns, Lanes, Pixels, columns
from dpprof.runs.windows import runs_in
from dpprof.tables.columns import END, KIND, LANE, RANK, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, MEMORY

SLOTS, BUBBLES = "slots", "bubbles"
COMPUTE_LANE, COMMUNICATION_LANE, P2P_LANE = "compute", "communication", "p2p"
LANES = ("together", "streams")
"""Whether a rank's lanes are compute, communication and messages, or the streams of its trace."""

_LANE_OF_KIND = {
    COMPUTE: COMPUTE_LANE,
    MEMORY: COMPUTE_LANE,
    **dict.fromkeys(COMMUNICATION_KINDS, COMMUNICATION_LANE),
    "p2p": P2P_LANE,
}
_ORDER = (SLOTS, COMPUTE_LANE, COMMUNICATION_LANE, P2P_LANE)


@dataclass(frozen=True, order=True)
class LaneKey:
    """A lane of a picture: of a step and a rank, called `name`."""

    step: int
    rank: int
    name: str


@dataclass(frozen=True)
class Index:
    """The pieces of the lanes of all used steps of a run.

    Lane i is ``lanes[i]``, piece j has the colours ``codes[...][j]`` and is called ``texts[j]``.
    """

    lanes: tuple[LaneKey, ...]
    pieces: Lanes
    codes: dict[str, Codes]
    texts: npt.NDArray[np.object_]

    def columns(self, lanes: npt.NDArray[np.intp], pixels: Pixels) -> Columns:
        """What each pixel of the lanes shows."""
        return columns(self.pieces, lanes, pixels)

    def of(self, step: int, ranks: Iterable[int]) -> Iterator[int]:
        """The lanes of the ranks in a step, rank by rank, in the order in which they are drawn."""
        wanted = set(ranks)
        for number, lane in enumerate(self.lanes):
            if lane.step == step and lane.rank in wanted:
                yield number

    def count(self, lanes: Iterable[int], start_ns: int, end_ns: int) -> int:
        """How many pieces of the lanes touch ``[start_ns, end_ns)``."""
        spans = (self.pieces.within(lane, start_ns, end_ns) for lane in lanes)
        return sum(last - first for first, last in spans)


def make_index(
    run: LibraryRun, lanes: str = LANES[0], tell: Callable[[int, int], None] | None = None
) -> Index:
    """The index of a run, from one rank's events after another; `tell` hears how far it is."""
    found: dict[LaneKey, Pieces] = {}
    for done, place in enumerate(sorted(run.run.places, key=lambda place: place.rank)):
        if tell is not None:
            tell(done, len(run.run.places))
        found |= _rank_lanes(run, place.rank, lanes)
    keys = tuple(sorted(found, key=lambda key: (key.step, key.rank, _place(key.name))))
    pieces = [found[key] for key in keys]
    offsets = np.concatenate([[0], np.cumsum([len(one.starts) for one in pieces])])
    starts, ends = (
        np.concatenate([np.zeros(0, np.int64), *(getattr(one, name) for one in pieces)])
        for name in ("starts", "ends")
    )
    return Index(
        keys,
        Lanes.of(offsets.astype(np.int64), starts, ends),
        {
            name: np.concatenate([np.zeros(0, np.uint8), *(one.codes[name] for one in pieces)])
            for name in COLORINGS
        },
        np.concatenate([np.zeros(0, object), *(one.texts for one in pieces)]),
    )


def _place(name: str) -> tuple[int, str]:
    """Slots come first, bubbles last."""
    if name == BUBBLES:
        return len(_ORDER) + 1, name
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER)), name


def _rank_lanes(run: LibraryRun, rank: int, lanes: str) -> dict[LaneKey, Pieces]:
    events = run.run.held.of_rank(rank)
    columns = RankColumns.of(events)
    names = lane_names(events, lanes)
    slots = _of(run.run.slots, rank)
    regions = _of(run.accounting.regions, rank)
    found = {}
    for step in run.run.used_steps:
        rows = np.flatnonzero(runs_in(events, step_window(run, step)))
        for name in dict.fromkeys(names[rows].tolist()):
            chosen = rows[names[rows] == name]
            found[LaneKey(step, rank, name)] = lane_pieces(columns.part(chosen))
        own = slots[slots[STEP] == step]
        if len(own):
            found[LaneKey(step, rank, SLOTS)] = slot_pieces(own)
        bubbles = bubble_pieces(regions[regions[STEP] == step])
        if run.accounting.left_out.regions:
            bubbles = with_unlisted(bubbles, columns.part(rows), step_window(run, step))
        found[LaneKey(step, rank, BUBBLES)] = bubbles
        if not len(rows):
            found[LaneKey(step, rank, COMPUTE_LANE)] = lane_pieces(columns.part(rows))
    return found


def lane_names(events: pd.DataFrame, lanes: str) -> npt.NDArray[np.object_]:
    """The lane in which each event is drawn."""
    column, texts = (LANE, {}) if lanes == LANES[1] else (KIND, _LANE_OF_KIND)
    codes, values = pd.factorize(events[column])
    names = [texts.get(value, value) for value in values.astype(str)]
    return np.array([*names, ""], dtype=object)[codes]


def _of(table: pd.DataFrame, rank: int) -> pd.DataFrame:
    return table[table[RANK] == rank]


def step_window(run: LibraryRun, step: int) -> tuple[int, int]:
    """The step window of a used step, on the run's clock."""
    states = run.accounting.states
    row = states[states[STEP] == step].iloc[0]
    return int(row[START]), int(row[END])
