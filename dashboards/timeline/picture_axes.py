"""The axes of the timeline: milliseconds of the step, and the names of ranks and lanes."""

from __future__ import annotations

from typing import Any

from dpprof.dashboards.detail.index import BUBBLES
from dpprof.dashboards.timeline.picture_rows import PictureRows
from dpprof.dashboards.view.theme import Theme
from dpprof.tables.devices import rank_name

_TICK_PX = 13


def x_axis(limits: tuple[float, float]) -> dict[str, Any]:
    """Milliseconds, above the picture: a tall one goes beyond the screen."""
    return {
        "range": limits,
        "side": "top",
        "title": {"text": "ms since the start of the step", "standoff": 4},
        # plotly draws it over the picture, where it looks like the ends of slots.
        "showgrid": False,
        "zeroline": False,
        "automargin": False,
        "exponentformat": "none",
        "ticks": "outside",
        "minallowed": 0,
    }


def y_axis(limits: tuple[float, float], rows: PictureRows, theme: Theme) -> dict[str, Any]:
    """Pixels from the top, with the names of lanes, or of ranks where lanes are low."""
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


def _rank_ticks(rows: PictureRows) -> list[tuple[float, str]]:
    groups = list(rows.ranks())
    every = 1 + _TICK_PX * len(groups) // max(1, rows.height)
    return [((top + bottom) / 2, f"{rank_name(rank)}") for _, rank, top, bottom in groups[::every]]


def _lane_ticks(rows: PictureRows) -> list[tuple[float, str]]:
    """The name of every lane, that of the first with its rank; empty where there is no room."""
    if any(row.bottom - row.top < _TICK_PX for row in rows.rows if row.name != BUBBLES):
        return []
    first = {top for _, _, top, _ in rows.ranks()}
    return [
        (
            row.middle,
            f"<b>{rank_name(row.rank)}</b><br>{row.name}" if row.top in first else row.name,
        )
        for row in rows.rows
        if row.bottom - row.top >= _TICK_PX
    ]
