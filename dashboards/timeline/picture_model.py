"""What the timeline's figure is made of: the runs in it, and what is pointed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dpprof.dashboards.detail.index import BUBBLES, COMPUTE_LANE, SLOTS, Index
from dpprof.dashboards.detail.pixel_columns import Columns, Pixels
from dpprof.dashboards.timeline.picture_pixels import Strip
from dpprof.dashboards.timeline.picture_rows import PictureRow
from dpprof.dashboards.view.theme import Theme

NS_PER_MS = 1e6
_WHITE_SPACE = (SLOTS, COMPUTE_LANE)
"""Rows whose empty pixels say, faintly, why they are empty."""


@dataclass(frozen=True)
class Mark:
    """A box around what is selected, ``[start_ns, end_ns)`` of the step, in a row."""

    row: PictureRow
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Arrow:
    """From a time in a row to a time in another, in nanoseconds of the step."""

    source: tuple[int, PictureRow]
    target: tuple[int, PictureRow]
    text: str = ""


@dataclass(frozen=True)
class Drawn:
    """A run in the picture: its index, the pixels of its rows, and where its step ends.

    Times count from the start of its step, which is at `origin_ns` on its own clock.
    """

    id: str
    title: str
    index: Index
    rows: Sequence[PictureRow]
    pixels: Pixels
    origin_ns: int
    window_ns: int

    @cached_property
    def columns(self) -> Columns:
        """What each pixel of the run's `rows` shows."""
        lanes = np.array([row.lane for row in self.rows], dtype=np.intp)
        return self.index.columns(lanes, self.pixels)


@dataclass(frozen=True)
class Frame:
    """A part of the picture: a span of the step, in nanoseconds, over rows ``[top, bottom)``."""

    start_ns: int
    end_ns: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Selected:
    """What is pointed out: a selection with its arrows, an area, and messages as thin lines."""

    marks: Sequence[Mark] = field(default=())
    arrows: Sequence[Arrow] = field(default=())
    frames: Sequence[Frame] = field(default=())
    messages: Sequence[Arrow] = field(default=())


NOTHING = Selected()


@dataclass(frozen=True)
class PictureLook:
    """How a picture looks; on the page, which has the time axis above it, it is drawn without."""

    theme: Theme
    coloring: str = "operation"
    with_axis: bool = True


def whole_ns(runs: Sequence[Drawn]) -> int:
    """The longest step among the runs."""
    return max(run.window_ns for run in runs)


def strips(run: Drawn, coloring: str) -> list[Strip]:
    """What is painted of a run."""
    pieces = run.columns.pieces
    codes = np.append(run.index.codes[coloring], np.uint8(0))[pieces]
    share = run.columns.share
    bubbles = {row.rank: number for number, row in enumerate(run.rows) if row.name == BUBBLES}
    return [
        Strip(
            row.top,
            row.bottom,
            pieces[number],
            codes[number],
            share[number],
            codes[bubbles[row.rank]] if row.name in _WHITE_SPACE else None,
        )
        for number, row in enumerate(run.rows)
    ]
