"""The timeline's figure: the painted picture with its axes, labels, marks and arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.figures.png import data_url, png, rgb
from dpprof.dashboards.timeline.picture_axes import x_axis, y_axis
from dpprof.dashboards.timeline.picture_labels import headers, slot_labels
from dpprof.dashboards.timeline.picture_model import (
    NOTHING,
    NS_PER_MS,
    Arrow,
    Drawn,
    Frame,
    Mark,
    PictureLook,
    Selected,
    whole_ns,
)
from dpprof.dashboards.timeline.picture_pixels import Strip, paint, palette
from dpprof.dashboards.timeline.picture_rows import PictureRows
from dpprof.dashboards.view.theme import Theme, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

MARGIN = {"l": 92, "r": 14, "t": 48, "b": 6}
NARROW_LEFT_PX = 52
"""The left margin in a narrow window: as wide as the names of ranks alone."""

_NARROW_PX = 500  # of picture
_LEAST_PX = 10  # plotly draws nothing that is lower
_ON_PAGE = {"t": 2}  # where the page draws the time axis


def left_margin(width_px: int) -> int:
    """The room for names beside a picture that is so wide."""
    return MARGIN["l"] if width_px >= _NARROW_PX else NARROW_LEFT_PX


def timeline_figure(
    runs: Sequence[Drawn],
    rows: PictureRows,
    painted: Sequence[Strip],
    look: PictureLook,
    selected: Selected = NOTHING,
) -> go.Figure:
    """The figure; x is milliseconds of the step, y pixels from the top.

    `painted` are the `strips` of all runs, which have the same pixels in time.
    """
    import plotly.graph_objects as go

    pixels = runs[0].pixels
    start_ns = pixels.start_ns - runs[0].origin_ns
    span_ns = pixels.end_ns - pixels.start_ns
    picture = paint((max(rows.height, 1), pixels.number), painted)
    ranges = {
        "x": (start_ns / NS_PER_MS, (start_ns + span_ns) / NS_PER_MS),
        "y": (rows.height, 0),
    }
    theme = look.theme
    margin = MARGIN if look.with_axis else MARGIN | _ON_PAGE
    figure = go.Figure(
        [*slot_labels(runs, look.coloring, theme), *_messages(selected.messages, theme)]
    )
    figure.update_layout(
        template=template(theme),
        margin=margin,
        height=max(rows.height, _LEAST_PX) + margin["t"] + margin["b"],
        showlegend=False,
        dragmode="zoom" if look.with_axis else False,  # the page drags for itself
        hovermode=False,
        xaxis=x_axis(ranges["x"]) | {"visible": look.with_axis},
        yaxis=y_axis(ranges["y"], rows, theme),
        images=[_image(data_url(png(picture, palette(theme))), ranges)],
        **pointed_out(runs, rows, selected, theme),
        meta={"start_ns": start_ns, "span_ns": span_ns, "whole_ns": whole_ns(runs)},
    )
    return figure


def pointed_out(
    runs: Sequence[Drawn], rows: PictureRows, selected: Selected, theme: Theme
) -> dict[str, list[dict[str, Any]]]:
    """The parts of the layout that a selection changes: shapes and annotations."""
    shapes = [
        *_ends(runs, rows, theme),
        *_frames(selected.frames, theme),
        *_boxes(selected.marks, theme),
    ]
    annotations = [*headers(runs, rows, theme), *_arrows(selected.arrows, theme)]
    return {"shapes": shapes, "annotations": annotations}


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


def _ends(runs: Sequence[Drawn], rows: PictureRows, theme: Theme) -> list[dict[str, Any]]:
    """A line where the step of each run ends."""
    shapes = []
    for run in runs:
        own = [row for row in rows.rows if row.run == run.id]
        if own:
            at = run.window_ns / NS_PER_MS
            line = {"color": theme.text, "width": 1, "dash": "dot"}
            limits = {"y0": own[0].top, "y1": own[-1].bottom}
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


def _frames(frames: Sequence[Frame], theme: Theme) -> list[dict[str, Any]]:
    """The area that is asked about, in rows of one or more runs."""
    return [
        {
            "type": "rect",
            "x0": frame.start_ns / NS_PER_MS,
            "x1": frame.end_ns / NS_PER_MS,
            "y0": frame.top,
            "y1": frame.bottom,
            "fillcolor": "rgba({}, {}, {}, 0.16)".format(*rgb(theme.accent)),
            "line": {"color": theme.accent, "width": 2},
        }
        for frame in frames
    ]


def _messages(messages: Sequence[Arrow], theme: Theme) -> list[Any]:
    """Messages as thin lines, a dot where each arrives; nothing where none is to be drawn."""
    import plotly.graph_objects as go

    if not messages:
        return []
    xs = [at / NS_PER_MS for one in messages for at in (one.source[0], one.target[0])]
    ys = [row.middle for one in messages for row in (one.source[1], one.target[1])]
    gaps = range(0, len(xs), 2)
    return [
        go.Scatter(
            x=[x for at in gaps for x in (*xs[at : at + 2], None)],
            y=[y for at in gaps for y in (*ys[at : at + 2], None)],
            mode="lines+markers",
            line={"color": theme.text, "width": 1},
            marker={"color": theme.text, "size": [size for _ in gaps for size in (0, 5, 0)]},
            opacity=0.65,
            hoverinfo="skip",
            name="messages",
        )
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
