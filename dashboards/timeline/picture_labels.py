"""Texts in the timeline: the names of slots where there is room, and of runs above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpprof.dashboards.detail.index import SLOTS
from dpprof.dashboards.timeline.picture_model import NS_PER_MS, Drawn
from dpprof.dashboards.timeline.picture_rows import HEADER_PX, LABEL_PX, PictureRow, PictureRows
from dpprof.dashboards.view.theme import Theme

_CHARACTER_PX = 6.2
_MOST_LABELS = 1500
_LETTERS = "FBIW"
_APOSTROPHE = "'"
_DIRECTIONS = {"0": "", "1": _APOSTROPHE}
_THIN = 0.6  # what an apostrophe lacks to the width of a figure
_INK = "#10151B"  # on the colours of operations, light or dark


def slot_labels(runs: Sequence[Drawn]) -> list[Any]:
    """Names of slots, in full where there is room, else their numbers, else nothing."""
    import plotly.graph_objects as go

    found: list[tuple[float, float, str]] = []
    for run in runs:
        for number, row in enumerate(run.rows):
            if row.name == SLOTS and row.bottom - row.top >= LABEL_PX:
                found += _row_labels(run, row, run.columns.pieces[number])
    found = found[:_MOST_LABELS]
    return [
        go.Scatter(
            x=[x for x, _, _ in found],
            y=[y for _, y, _ in found],
            text=[text for _, _, text in found],
            mode="text",
            textfont={"size": 10, "color": _INK},
            hoverinfo="skip",
            name="slots",
        )
    ]


def _row_labels(run: Drawn, row: PictureRow, shown: Any) -> list[tuple[float, float, str]]:
    starts = np.flatnonzero(np.append(True, np.diff(shown) != 0))
    ends = np.append(starts[1:], len(shown))
    edges = run.columns.pixels.edges - run.origin_ns
    labels = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        piece = int(shown[start])
        text = short_label(str(run.index.texts[piece]), end - start) if piece >= 0 else ""
        if text:
            labels.append((float(edges[start] + edges[end]) / 2 / NS_PER_MS, row.middle, text))
    return labels


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
    """What each run is, above its ranks."""
    return [
        {
            "text": run.title,
            "xref": "paper",
            "x": 0,
            "xanchor": "left",
            "y": rows.headers[run.id] + HEADER_PX / 2,
            "yanchor": "middle",
            "showarrow": False,
            "font": {"size": 12, "color": theme.text},
        }
        for run in runs
        if run.id in rows.headers
    ]
