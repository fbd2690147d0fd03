"""What stands where a figure is still being drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.dashboards.view.theme import Theme, template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def loading_figure(theme: Theme) -> Figure:
    """No axes, in the theme's colours, and the word."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(template=template(theme), height=360, dragmode=False)
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(visible=False, fixedrange=True)
    figure.add_annotation(
        text="Loading…",
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 13, "color": theme.muted},
    )
    return figure
