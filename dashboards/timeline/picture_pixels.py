"""Paints the rows of the timeline: one pixel for each pixel of the screen, in palette numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from dpprof.dashboards.detail.names import CODES, NAMES, PAIR, UNLISTED, WAIT, Codes
from dpprof.dashboards.detail.pieces import Numbers
from dpprof.dashboards.figures.png import Color, mix
from dpprof.dashboards.view.theme import Theme
from dpprof.tables.kinds import BUBBLE_STATES

Picture = npt.NDArray[np.uint8]

LEVELS = 4
"""Shades by how much of a pixel is filled."""

_PALEST = 0.4
"""The least of its colour that a piece has, however short it is."""

_HATCHED = {CODES[name] for name in (*BUBBLE_STATES, UNLISTED, WAIT)}
_INK = LEVELS  # after its shades, the colour of a code's pattern
_FAINT = LEVELS + 1  # and the two for the white space that it is the reason of
_FAINT_INK = LEVELS + 2
_PER_CODE = LEVELS + 3
_PERIOD = 84  # lines after which every pattern repeats
_WIDEST_PX = 8192
_FORWARD, _BACKWARD = np.uint8(CODES["F"]), np.uint8(CODES["B"])
_WIDE_PX = 6
"""Neighbours that are both at least so wide are set apart by a line."""


@dataclass(frozen=True)
class Strip:
    """A row to paint: ``[top, bottom)`` of the picture, and for each pixel what it shows.

    `pieces` are numbers that tell pieces apart, -1 for nothing; `share` is how much of the pixel
    is filled, 0 to 1. `beneath` are codes that are painted faintly where there is nothing.
    """

    top: int
    bottom: int
    pieces: Numbers
    codes: Codes
    share: npt.NDArray[np.float64]
    beneath: Codes | None = None


def palette(theme: Theme) -> list[Color]:
    """The colours of all codes in all shades, on the theme's panel; the first is see-through."""
    colors: list[Color] = []
    for name in NAMES:
        own = theme.color(name)
        for level in range(LEVELS):
            share = _PALEST + (1 - _PALEST) * level / (LEVELS - 1)
            colors.append((*mix(own, theme.panel, share), 255))
        for share in (0.45, 0.1, 0.3):
            colors.append((*mix(own, theme.panel, share), 255))
    colors[0] = (0, 0, 0, 0)
    return colors


def paint(shape: tuple[int, int], strips: Sequence[Strip]) -> Picture:
    """The picture (height, width): positions in the `palette`.

    A piece is paler the less of its pixel it fills, but never gone. An overlapped pair has the
    colour of the forward above that of the backward; bubbles and waits have patterns.
    """
    picture = np.zeros(shape, dtype=np.uint8)
    for strip in strips:
        _paint(picture[strip.top : strip.bottom], strip)
    return picture


def _paint(rows: Picture, strip: Strip) -> None:
    filled = strip.pieces >= 0
    level = np.ceil(strip.share * LEVELS).clip(1, LEVELS).astype(np.uint8) - 1
    codes = np.where(filled, strip.codes, 0).astype(np.uint8)
    half = (len(rows) + 1) // 2
    for part, own in ((rows[:half], _FORWARD), (rows[half:], _BACKWARD)):
        halved = np.where(codes == CODES[PAIR], own, codes)
        part[:] = np.where(halved > 0, halved * _PER_CODE + level, 0)
    _hatch(rows, strip.top, codes, _INK)
    rows[:, _borders(strip.pieces)] = 0
    if strip.beneath is not None:
        beneath = np.where(filled, 0, strip.beneath).astype(np.uint8)
        empty = beneath > 0
        rows[:, empty] = (beneath * _PER_CODE + _FAINT)[empty]
        _hatch(rows, strip.top, beneath, _FAINT_INK)


def _hatch(rows: Picture, top: int, codes: Codes, ink: int) -> None:
    """Puts ink where the patterns of hatched codes have it."""
    present = np.flatnonzero(np.bincount(codes, minlength=len(NAMES)))
    for code in _HATCHED & set(present.tolist()):
        lines = _patterns()[NAMES[code]][(top + np.arange(len(rows))) % _PERIOD, : len(codes)]
        rows[lines & (codes == code)] = code * _PER_CODE + ink


@cache
def _patterns() -> dict[str, npt.NDArray[np.bool_]]:
    """Where each pattern has ink, over one period of lines: plotly's shapes, drawn in pixels."""
    y, x = np.indices((_PERIOD, _WIDEST_PX))
    return {
        "bubble.warmup": (x + y) % 6 < 2,
        "bubble.cooldown": (x - y) % 6 < 2,
        "bubble.dependency": ((x + y) % 7 < 1) | ((x - y) % 7 < 1),
        "bubble.straggler": (x % 4 < 2) & (y % 4 < 2),
        "bubble.host": x % 4 < 2,
        "bubble.other": y % 4 < 2,
        UNLISTED: (x + y) % 3 < 1,
        WAIT: (x + 2 * y) % 6 < 2,
    }


def _borders(pieces: Numbers) -> npt.NDArray[np.intp]:
    """First pixels of pieces whose neighbours on both sides are wide enough for a line between."""
    starts = np.flatnonzero(np.append(True, np.diff(pieces) != 0))
    widths = np.diff(np.append(starts, len(pieces)))
    wide = (widths >= _WIDE_PX) & (pieces[starts] >= 0)
    found: npt.NDArray[np.intp] = starts[1:][wide[1:] & wide[:-1]]
    return found
