"""Tiles: one figure each, with its difference from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dash.development.base_component import Component


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure with its unit.

    `about` explains it in a sentence, or says why it is n/a; `change` compares it with the
    baseline in words, and `better` says whether that is good news (None: neither).
    """

    id: str
    label: str
    value: str
    about: str
    change: str = ""
    better: bool | None = None


def tiles(many: Sequence[Tile]) -> Component:
    """Tiles in a row, which wraps where it must."""
    from dash import html

    return html.Div([_tile(one) for one in many], className="tiles")


def _tile(tile: Tile) -> Component:
    from dash import html

    mood = {None: "", True: " better", False: " worse"}[tile.better]
    lines = [
        html.Div(tile.label, className="label"),
        html.Div(tile.value, className="value", **{"data-testid": f"{tile.id}-value"}),
    ]
    if tile.change:
        change = {"data-testid": f"{tile.id}-change"}
        lines.append(html.Div(tile.change, className=f"change{mood}", **change))
    return html.Div(lines, className="tile", title=tile.about, **{"data-testid": tile.id})
