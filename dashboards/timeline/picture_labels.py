"""Texts in the timeline: the names of slots and pieces where there is room, runs above them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from dpprof.dashboards.detail.index import BUBBLES, SLOTS
from dpprof.dashboards.detail.names import NAMES
from dpprof.dashboards.figures.png import rgb
from dpprof.dashboards.timeline.picture_model import NS_PER_MS, Drawn
from dpprof.dashboards.timeline.picture_rows import (
    GROUP_PX,
    HEADER_PX,
    LABEL_PX,
    PictureRow,
    PictureRows,
)
from dpprof.dashboards.view.theme import Theme
from dpprof.reporters.report.kinds import short_name

_CHARACTER_PX = 6.2
_SMALL_PX = 5.6  # a character of the names of pieces
_MOST_LABELS = 1500
_LEAST_PX = 26  # narrower than this a piece does not say its name
_LONGEST_READ = 120  # characters of a name
_LETTERS = "FBIW"
_APOSTROPHE = "'"
_DIRECTIONS = {"0": "", "1": _APOSTROPHE}
_THIN = 0.6  # what an apostrophe lacks to the width of a figure
_INK, _PALE_INK = "#10151B", "#FFFFFF"
_DARK = 0.28  # colours of less light than this (0 to 1) have pale text on them
_CUT = "\N{HORIZONTAL ELLIPSIS}"


class PictureLabel(NamedTuple):
    """A text in the middle of a piece; `x` in milliseconds, `y` and its room in pixels."""

    x: float
    y: float
    text: str
    ink: str
    room_px: int


def slot_labels(runs: Sequence[Drawn], coloring: str, theme: Theme) -> list[Any]:
    """Names of slots, in full where there is room, else their numbers, else nothing.

    And of all other pieces that are wide enough: activity, component or kind, whatever fits. Of
    more than a browser draws with ease the narrowest are left out.
    """
    import plotly.graph_objects as go

    found: list[PictureLabel] = []
    for run in runs:
        for number, row in enumerate(run.rows):
            if row.bottom - row.top >= LABEL_PX and row.name != BUBBLES:
                found += _row_labels(run, row, run.columns.pieces[number], (coloring, theme))
    widest = sorted(found, key=lambda label: -label.room_px)[:_MOST_LABELS]
    return [
        go.Scatter(
            x=[label.x for label in widest],
            y=[label.y for label in widest],
            text=[label.text for label in widest],
            mode="text",
            textfont={"size": 10, "color": [label.ink for label in widest]},
            hoverinfo="skip",
            name="names",
        )
    ]


def _row_labels(
    run: Drawn, row: PictureRow, shown: Any, look: tuple[str, Theme]
) -> Iterator[PictureLabel]:
    starts = np.flatnonzero(np.append(True, np.diff(shown) != 0))
    ends = np.append(starts[1:], len(shown))
    least = 1 if row.name == SLOTS else _LEAST_PX
    wide = (shown[starts] >= 0) & (ends - starts >= least)
    edges = run.columns.pixels.edges - run.origin_ns
    for start, end in zip(starts[wide].tolist(), ends[wide].tolist(), strict=True):
        piece = int(shown[start])
        text = _text(run, row, piece, end - start)
        if text:
            middle = float(edges[start] + edges[end]) / 2 / NS_PER_MS
            code = run.index.codes[look[0]][piece]
            ink = _ink(look[1].color(NAMES[code]))
            yield PictureLabel(middle, row.middle, text, ink, end - start)


def _text(run: Drawn, row: PictureRow, piece: int, room_px: int) -> str:
    own = str(run.index.texts[piece])
    if row.name == SLOTS:
        return short_label(own, room_px)
    codes = run.index.codes
    return piece_label(own, NAMES[codes["component"][piece]], NAMES[codes["kind"][piece]], room_px)


@cache
def _ink(color: str) -> str:
    """What can be read on a colour (relative luminance, WCAG 2)."""
    red, green, blue = ((value / 255) ** 2.2 for value in rgb(color))
    return _PALE_INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK else _INK


def piece_label(name: str, component: str, kind: str, room_px: int) -> str:
    """The first of name, component and kind that fits; else the name, cut; nothing without one."""
    fits = int((room_px - 4) / _SMALL_PX)
    if not name:
        return ""
    short = name
    if "<" in name or "::" in name:
        short = short_name(name, _LONGEST_READ).rpartition("::")[2] or name
    for text in (short, component, kind):
        if text and len(text) <= fits:
            return text
    return short[: fits - 1] + _CUT if fits > _LEAST_CHARACTERS else ""


_LEAST_CHARACTERS = 4


def short_label(slot: str, room_px: int) -> str:
    """``F0.3&B1.2``, or ``3&2'``, or ``3``, or nothing: the longest that fits.

    The apostrophe is direction 1: in DualPipe, micro-batches that enter at the last rank.
    """
    numbers = [_number(action.lstrip(_LETTERS)) for action in slot.split("&")]
    for text in (slot, "&".join(numbers), numbers[0] if len(numbers) == 1 else ""):
        if text and (len(text) - _THIN * text.count(_APOSTROPHE)) * _CHARACTER_PX + 2 <= room_px:
            return text
    return ""


def _number(action: str) -> str:
    direction, point, micro_batch = action.partition(".")
    return micro_batch + _DIRECTIONS[direction] if direction in _DIRECTIONS and point else action


def headers(runs: Sequence[Drawn], rows: PictureRows, theme: Theme) -> list[dict[str, Any]]:
    """What each run is, above its ranks; and each group of ranks."""
    titles = [
        _line(run.title, rows.headers[run.id] + HEADER_PX / 2, 12, theme.text)
        for run in runs
        if run.id in rows.headers
    ]
    groups = [_line(text, top + GROUP_PX / 2, 11, theme.muted) for top, text in rows.labels]
    return titles + groups


def _line(text: str, middle: float, size: int, color: str) -> dict[str, Any]:
    return {
        "text": text,
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": middle,
        "yanchor": "middle",
        "showarrow": False,
        "font": {"size": size, "color": color},
    }
