"""Figures of several runs abreast, with the runs' names above and the legend above these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.view.theme import Theme, template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


_FEW = 5


def rank_bars_axis(figure: Figure, ranks: int) -> None:
    """The x axis of bars by rank; bars of few ranks do not get as wide as there is room."""
    figure.update_xaxes(type="category", title_text="rank")
    if ranks < _FEW:
        figure.update_traces(width=0.15 * max(ranks, 1), selector={"type": "bar"})


def bound_mark(theme: Theme, bars: int) -> dict[str, Any]:
    """A mark across a bar, about as wide as one of so many bars."""
    width = max(min(_MARKS_PX // max(bars, 1), 22), 4)
    return {"symbol": "line-ew-open", "size": width, "color": theme.text}


_MARKS_PX = 640


def abreast(names: Sequence[str], theme: Theme, **how: Any) -> Figure:
    """A figure with a column per run, called by its name where there are several.

    `how` goes to plotly's ``make_subplots``; rows are one unless it says more.
    """
    from plotly.subplots import make_subplots

    several = len(names) > 1
    how = {"rows": 1, "horizontal_spacing": 0.03} | how
    figure = make_subplots(
        cols=max(len(names), 1), column_titles=list(names) if several else None, **how
    )
    figure.update_annotations(font={"size": 13})
    figure.update_layout(
        template=template(theme),
        legend={"yref": "container", "y": 1, "yanchor": "top"},
        margin={"t": 68 if several else 44},
    )
    return figure
