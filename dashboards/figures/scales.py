"""The colour scale of heat maps: from little to much, told by lightness alone."""

from __future__ import annotations

from typing import Any

from dashboards.theme import Theme

_LIGHT = [(0.0, "#F4F1EA"), (0.5, "#E8A33D"), (1.0, "#A0330A")]
_DARK = [(0.0, "#232B36"), (0.5, "#B8741A"), (1.0, "#FFC46B")]
"""Little is nearly the panel's own colour, in both themes."""


def color_scale(theme: Theme, title: str) -> dict[str, Any]:
    """A colour axis from 0 up, its bar named `title`."""
    return {
        "colorscale": _DARK if theme.name == "dark" else _LIGHT,
        "cmin": 0,
        "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12},
    }
