"""A figure on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.theme import GRAPH_CONFIG

if TYPE_CHECKING:
    from dash.development.base_component import Component
    from plotly.graph_objects import Figure


def graph(figure: Figure, id: str, about: str) -> Component:
    """`figure` as high as its layout says and as wide as there is room.

    `about` is what a screen reader says of it; `id` names the file that it is saved to.
    """
    from dash import dcc, html

    image = {"format": "svg", "filename": f"dpprof-{id}"}
    config = dict(GRAPH_CONFIG) | {"toImageButtonOptions": image}
    height = figure.layout.height or 360
    drawn = dcc.Graph(id=id, figure=figure, config=config, style={"height": f"{height}px"})
    return html.Figure(drawn, className="graph", role="group", **{"aria-label": about})
