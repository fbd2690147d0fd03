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

GROUP_PX = 18
"""Height of the line above each group of ranks that says which it is."""

LABEL_PX = 10
"""Rows from this height on have room for text."""

ROW_SIZES = ("fit", "compact", "normal", "tall")
"""How high rows are; ``fit`` fills the window where few ranks leave room in it."""


class Heights(NamedTuple):
    """Heights of a rank's rows in pixels."""

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


_COMPACT = Heights(4, 6, 3, 2, 3, 4, 2)
_LOW = Heights(12, 11, 5, 4, 4, 10, 3)
_NORMAL = Heights(13, 12, 10, 10, 5, 12, 3)
_TALL = Heights(22, 26, 20, 16, 12, 22, 12)
_SIZES = {"compact": _COMPACT, "normal": _NORMAL, "tall": _TALL}

_MANY = 32  # ranks, of all runs together, that are drawn with low rows unless chosen otherwise
_MOST_STRETCH = 3.2  # times the height of a normal row
_LARGEST_GAP = 2  # pixels beneath a rank that still are its last row


def heights_for(ranks: int, size: str = ROW_SIZES[0]) -> Heights:
    """The rows of so many ranks, of all runs together; slots say their names but if compact."""
    return _SIZES.get(size, _NORMAL if ranks <= _MANY else _LOW)


def _stretched(heights: Heights, times: float) -> Heights:
    return Heights(*(int(height * times) for height in heights))


class LaneGroup(NamedTuple):
    """The lanes of a rank of a run, as numbers in the run's index, with their names.

    `label` is what the group of ranks is called that it stands in, if anything.
    """

    run: str
    rank: int
    lanes: Sequence[tuple[int, str]]
    label: str = ""


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
    """All rows, where the header of each run is, and the height of the picture.

    `labels` are names of groups of ranks, each with where its line begins.
    """

    rows: tuple[PictureRow, ...]
    headers: Mapping[str, int]
    height: int
    labels: tuple[tuple[int, str], ...] = ()

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


def make_rows(
    groups: Sequence[LaneGroup], size: str = ROW_SIZES[0], room_px: int = 0
) -> PictureRows:
    """Lays the lanes out from top to bottom, in the order given, runs beneath each other.

    Rows that are to ``fit`` are as high as fills `room_px`, and never lower than they can be read.
    """
    heights = heights_for(len(groups), size)
    rows = _laid_out(groups, heights)
    if size != ROW_SIZES[0] or not rows.rows or rows.height >= room_px:
        return rows
    headers = HEADER_PX * len(rows.headers) + GROUP_PX * len(rows.labels)
    times = (room_px - headers) / max(1, rows.height - headers)
    return _laid_out(groups, _stretched(heights, min(times, _MOST_STRETCH)))


def _laid_out(groups: Sequence[LaneGroup], heights: Heights) -> PictureRows:
    rows: list[PictureRow] = []
    headers: dict[str, int] = {}
    labels: list[tuple[int, str]] = []
    y, last = 0, ""
    for group in groups:
        if group.run not in headers:
            headers[group.run] = y
            y, last = y + HEADER_PX, ""
        if group.label != last:
            labels.append((y, group.label))
            y, last = y + GROUP_PX, group.label
        for lane, name in group.lanes:
            height = heights.of(name)
            rows.append(PictureRow(group.run, group.rank, lane, name, y, y + height))
            y += height
        y += heights.gap
    return PictureRows(tuple(rows), headers, y, tuple(labels))
