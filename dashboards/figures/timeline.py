"""The timeline's figure: the painted picture with its axes, labels, marks and arrows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboards.detail.columns import Columns
from dashboards.detail.index import BUBBLES, COMPUTE_LANE, SLOTS, Index
from dashboards.figures.png import data_url, png
from dashboards.figures.timeline_paint import Strip, paint, palette
from dashboards.figures.timeline_rows import HEADER_PX, LABEL_PX, Row, Rows
from dashboards.theme import Theme, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

MARGIN = {"l": 92, "r": 14, "t": 48, "b": 6}
NS_PER_MS = 1e6
_CHARACTER_PX = 6.2
_MOST_LABELS = 1500
_TICK_PX = 13
_WHITE_SPACE = (SLOTS, COMPUTE_LANE)
"""Rows whose empty pixels say, faintly, why they are empty."""


@dataclass(frozen=True)
class Mark:
    """A box around what is selected, ``[start_ns, end_ns)`` of the step, in a row."""

    row: Row
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Arrow:
    """From a time in a row to a time in another, in nanoseconds of the step."""

    source: tuple[int, Row]
    target: tuple[int, Row]
    text: str = ""


@dataclass(frozen=True)
class Drawn:
    """A run in the picture: its index, the pixels of its rows, and where its step ends.

    `columns` has a row for each of the run's `rows`; times count from the start of its step,
    which is at `origin_ns` on its own clock.
    """

    id: str
    title: str
    index: Index
    rows: Sequence[Row]
    columns: Columns
    origin_ns: int
    window_ns: int


@dataclass(frozen=True)
class Selected:
    """What is pointed out in the picture."""

    marks: Sequence[Mark] = field(default=())
    arrows: Sequence[Arrow] = field(default=())


NOTHING = Selected()


def timeline_figure(
    runs: Sequence[Drawn],
    rows: Rows,
    painted: Sequence[Strip],
    theme: Theme,
    selected: Selected = NOTHING,
) -> go.Figure:
    """The figure; x is milliseconds of the step, y pixels from the top.

    `painted` are the `strips` of all runs, which have the same pixels in time.
    """
    import plotly.graph_objects as go

    pixels = runs[0].columns.pixels
    start_ns = pixels.start_ns - runs[0].origin_ns
    span_ns = pixels.end_ns - pixels.start_ns
    picture = paint((rows.height, pixels.number), painted)
    ranges = {
        "x": (start_ns / NS_PER_MS, (start_ns + span_ns) / NS_PER_MS),
        "y": (rows.height, 0),
    }
    figure = go.Figure(_labels(runs, theme))
    figure.update_layout(
        template=template(theme),
        margin=MARGIN,
        height=rows.height + MARGIN["t"] + MARGIN["b"],
        showlegend=False,
        dragmode="zoom",
        hovermode=False,
        xaxis=_x_axis(ranges["x"], theme),
        yaxis=_y_axis(ranges["y"], rows, theme),
        images=[_image(data_url(png(picture, palette(theme))), ranges)],
        shapes=[*_ends(runs, rows, theme), *_boxes(selected.marks, theme)],
        annotations=[*_headers(runs, rows, theme), *_arrows(selected.arrows, theme)],
        meta={"start_ns": start_ns, "span_ns": span_ns, "whole_ns": whole_ns(runs)},
    )
    return figure


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


def _image(source: str, ranges: dict[str, tuple[float, float]]) -> dict[str, Any]:
    (left, right), (bottom, _) = ranges["x"], ranges["y"]
    return {
        "source": source,
        "xref": "x",
        "yref": "y",
        "x": left,
        "y": 0,
        "sizex": right - left,
        "sizey": bottom,
        "sizing": "stretch",
        "layer": "below",
    }


def _x_axis(limits: tuple[float, float], theme: Theme) -> dict[str, Any]:
    return {
        "range": limits,
        "side": "top",
        "title": {"text": "ms since the start of the step", "standoff": 4},
        "showgrid": True,
        "gridcolor": theme.line,
        "zeroline": False,
        "automargin": False,
        "exponentformat": "none",
        "ticks": "outside",
        "minallowed": 0,
    }


def _y_axis(limits: tuple[float, float], rows: Rows, theme: Theme) -> dict[str, Any]:
    ticks = _lane_ticks(rows) or _rank_ticks(rows)
    return {
        "range": limits,
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "automargin": False,
        "tickmode": "array",
        "tickvals": [at for at, _ in ticks],
        "ticktext": [text for _, text in ticks],
        "tickfont": {"size": 11, "color": theme.muted},
    }


def _rank_ticks(rows: Rows) -> list[tuple[float, str]]:
    groups = list(rows.ranks())
    every = 1 + _TICK_PX * len(groups) // max(1, rows.height)
    return [((top + bottom) / 2, f"rank {rank}") for _, rank, top, bottom in groups[::every]]


def _lane_ticks(rows: Rows) -> list[tuple[float, str]]:
    """The name of every lane, that of the first with its rank; empty where there is no room."""
    if any(row.bottom - row.top < _TICK_PX for row in rows.rows if row.name != BUBBLES):
        return []
    first = {top for _, _, top, _ in rows.ranks()}
    return [
        (row.middle, f"<b>rank {row.rank}</b><br>{row.name}" if row.top in first else row.name)
        for row in rows.rows
        if row.bottom - row.top >= _TICK_PX
    ]


def _labels(runs: Sequence[Drawn], theme: Theme) -> list[Any]:
    """Names of slots, in full where there is room, else the micro-batch alone, else nothing."""
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
            textfont={"size": 10, "color": "#10151B"},
            hoverinfo="skip",
            name="slots",
        )
    ]


def _row_labels(run: Drawn, row: Row, shown: Any) -> list[tuple[float, float, str]]:
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
    """``F0.3&B1.2``, or ``3&2``, or ``3``, or nothing: the longest that fits."""
    numbers = [action.partition(".")[2] for action in slot.split("&")]
    for text in (slot, "&".join(numbers), numbers[0] if len(numbers) == 1 else ""):
        if text and len(text) * _CHARACTER_PX + 2 <= room_px:
            return text
    return ""


def _headers(runs: Sequence[Drawn], rows: Rows, theme: Theme) -> list[dict[str, Any]]:
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


def _ends(runs: Sequence[Drawn], rows: Rows, theme: Theme) -> list[dict[str, Any]]:
    """A line where the step of each run ends."""
    shapes = []
    for run in runs:
        own = [row for row in rows.rows if row.run == run.id]
        if own:
            at = run.window_ns / NS_PER_MS
            line = {"color": theme.text, "width": 1, "dash": "dot"}
            limits = {"y0": rows.headers[run.id] + 4, "y1": own[-1].bottom}
            shapes.append({"type": "line", "x0": at, "x1": at, "line": line} | limits)
    return shapes


def _boxes(marks: Sequence[Mark], theme: Theme) -> list[dict[str, Any]]:
    return [
        {
            "type": "rect",
            "x0": mark.start_ns / NS_PER_MS,
            "x1": mark.end_ns / NS_PER_MS,
            "y0": mark.row.top - 1,
            "y1": mark.row.bottom + 1,
            "line": {"color": theme.text, "width": 2},
        }
        for mark in marks
    ]


def _arrows(arrows: Sequence[Arrow], theme: Theme) -> list[dict[str, Any]]:
    return [
        {
            "x": arrow.target[0] / NS_PER_MS,
            "y": arrow.target[1].middle,
            "ax": arrow.source[0] / NS_PER_MS,
            "ay": arrow.source[1].middle,
            "xref": "x",
            "yref": "y",
            "axref": "x",
            "ayref": "y",
            "showarrow": True,
            "arrowhead": 2,
            "arrowwidth": 2,
            "arrowcolor": theme.text,
            "text": arrow.text,
        }
        for arrow in arrows
    ]
