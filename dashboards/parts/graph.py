"""A figure on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dpprof.dashboards.view.theme import GRAPH_CONFIG

if TYPE_CHECKING:
    from dash.development.base_component import Component
    from plotly.graph_objects import Figure


def graph(figure: Figure, id: str | dict[str, Any], about: str, **more: Any) -> Component:
    """`figure` as high as its layout says and as wide as there is room.

    `about` is what a screen reader says of it; `id` names the file that it is saved to. `more`
    goes to plotly's configuration.
    """
    from dash import dcc, html

    name = id if isinstance(id, str) else "-".join(map(str, id.values()))
    image = {"format": "svg", "filename": f"dpprof-{name}"}
    config = dict(GRAPH_CONFIG) | {"toImageButtonOptions": image} | more
    height = figure.layout.height or 360
    drawn = dcc.Graph(id=id, figure=figure, config=config, style={"height": f"{height}px"})
    return html.Figure(drawn, className="graph", role="group", **{"aria-label": about})
