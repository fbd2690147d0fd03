"""The colour scale of heat maps: from little to much, told by lightness alone."""

from __future__ import annotations

from typing import Any

from dpprof.dashboards.view.theme import Theme

_LIGHT = [(0.0, "#F4F1EA"), (0.5, "#E8A33D"), (1.0, "#A0330A")]
_DARK = [(0.0, "#232B36"), (0.5, "#B8741A"), (1.0, "#FFC46B")]
"""Little is nearly the panel's own colour, in both themes."""

_MORE = {"light": "#5FA3D6", "dark": "#1C5F94"}
_LESS_MORE = {"light": ("#5FA3D6", "#E08F4F"), "dark": ("#1C5F94", "#8A4A14")}
"""Ends of scales that text is written on: it can be read on every colour before them."""


def text_scale(theme: Theme) -> list[tuple[float, str]]:
    """From the panel's colour to one on which the theme's text can be read."""
    return [(0.0, theme.panel), (1.0, _MORE[theme.name])]


def change_scale(theme: Theme) -> list[tuple[float, str]]:
    """Blue is less, orange more, nothing the panel's colour; neither says better or worse."""
    less, more = _LESS_MORE[theme.name]
    return [(0.0, less), (0.5, theme.panel), (1.0, more)]


_ROW_PX, _LEAST_ROW_PX = 18, 4


def rows_px(rows: int, most: int) -> int:
    """How high so many rows are: as high as a label, lower where they would take over `most`."""
    return max(rows, 1) * max(min(_ROW_PX, most // max(rows, 1)), _LEAST_ROW_PX)


def gap_px(cells: int) -> int:
    """The space between so many cells: none where they are too small to lose any."""
    return 1 if cells <= _MOST_GAPS else 0


_MOST_GAPS = 48


def color_scale(theme: Theme, title: str, most: float) -> dict[str, Any]:
    """A colour axis from 0 to `most` (to 1 where that is 0), its bar named `title`."""
    return {
        "colorscale": _DARK if theme.name == "dark" else _LIGHT,
        # plotly takes neither end where one is missing.
        "cmin": 0,
        "cmax": most or 1,
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12},
    }
