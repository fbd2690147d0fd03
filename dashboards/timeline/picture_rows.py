"""Which row of the timeline's picture shows what: runs, ranks and lanes from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.dashboards.detail.index import (
    BUBBLES,
    COMMUNICATION_LANE,
    COMPUTE_LANE,
    P2P_LANE,
    SLOTS,
)

HEADER_PX = 22
"""Height of the line above each run that says what it is."""

LABEL_PX = 12
"""Rows from this height on have room for text."""


class Heights(NamedTuple):
    """Heights of a rank's rows in pixels; 0 leaves a row out."""

    slots: int
    compute: int
    communication: int
    p2p: int
    bubbles: int
    stream: int
    gap: int

    def of(self, lane: str) -> int:
        """The height of a lane's row."""
        known = {
            SLOTS: self.slots,
            COMPUTE_LANE: self.compute,
            COMMUNICATION_LANE: self.communication,
            P2P_LANE: self.p2p,
            BUBBLES: self.bubbles,
        }
        return known.get(lane, self.stream)


_HEIGHTS: tuple[tuple[int, Heights], ...] = (
    (2, Heights(26, 32, 26, 16, 14, 26, 16)),
    (4, Heights(22, 22, 14, 13, 9, 22, 12)),
    (8, Heights(16, 15, 10, 6, 7, 10, 8)),
    (16, Heights(13, 10, 7, 4, 5, 7, 5)),
    (32, Heights(6, 9, 4, 3, 4, 5, 3)),
)
_LARGEST_GAP = 2  # pixels beneath a rank that still are its last row

_SMALLEST = Heights(0, 7, 3, 0, 3, 4, 2)
"""Of more than 32 ranks: messages have no row of their own, but show when streams are drawn."""


def heights_for(ranks: int) -> Heights:
    """Rows as high as leaves so many ranks (of all runs together) on a screen or two."""
    return next((heights for most, heights in _HEIGHTS if ranks <= most), _SMALLEST)


class LaneGroup(NamedTuple):
    """The lanes of a rank of a run, as numbers in the run's index, with their names."""

    run: str
    rank: int
    lanes: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class PictureRow:
    """A row of pixels ``[top, bottom)`` that shows a lane of a rank of a run."""

    run: str
    rank: int
    lane: int
    name: str
    top: int
    bottom: int

    @property
    def middle(self) -> float:
        """Where text and arrows go."""
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class PictureRows:
    """All rows, where the header of each run is, and the height of the picture."""

    rows: tuple[PictureRow, ...]
    headers: Mapping[str, int]
    height: int

    def at(self, y: float) -> PictureRow | None:
        """The row at a height; in the gap beneath a rank its last row."""
        above = [row for row in self.rows if row.top <= y]
        found = above[-1] if above else None
        gap = _LARGEST_GAP if found is not None and found.name == BUBBLES else 0
        return found if found is not None and y < found.bottom + gap else None

    def find(self, run: str, rank: int, name: str) -> PictureRow | None:
        """The row of a lane, else any row of its rank; None where the rank is not shown."""
        own = [row for row in self.rows if row.run == run and row.rank == rank]
        return next((row for row in own if row.name == name), own[0] if own else None)

    def ranks(self) -> Iterator[tuple[str, int, int, int]]:
        """Run, rank, and from where to where its rows go."""
        groups: dict[tuple[str, int], list[PictureRow]] = {}
        for row in self.rows:
            groups.setdefault((row.run, row.rank), []).append(row)
        for (run, rank), rows in groups.items():
            yield run, rank, rows[0].top, rows[-1].bottom


def make_rows(groups: Sequence[LaneGroup]) -> PictureRows:
    """Lays the lanes out from top to bottom, in the order given, runs beneath each other."""
    heights = heights_for(len(groups))
    rows: list[PictureRow] = []
    headers: dict[str, int] = {}
    y = 0
    for group in groups:
        if group.run not in headers:
            headers[group.run] = y
            y += HEADER_PX
        for lane, name in group.lanes:
            height = heights.of(name)
            if height:
                rows.append(PictureRow(group.run, group.rank, lane, name, y, y + height))
                y += height
        y += heights.gap
    return PictureRows(tuple(rows), headers, y)
