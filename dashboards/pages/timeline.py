"""The timeline: what every rank does when, the bubbles with their causes, runs on one time axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.detail.index import LANES
from dpprof.dashboards.figures.loading import loading_figure
from dpprof.dashboards.pages.addresses import context_of, known_of
from dpprof.dashboards.timeline.in_report import report_timeline
from dpprof.dashboards.timeline.interaction import act
from dpprof.dashboards.timeline.minimap import minimap
from dpprof.dashboards.timeline.panel import details, tip
from dpprof.dashboards.timeline.picture_model import PictureLook
from dpprof.dashboards.timeline.picture_rows import ROW_SIZES
from dpprof.dashboards.timeline.rank_order import GROUPINGS
from dpprof.dashboards.timeline.tools import tools
from dpprof.dashboards.timeline.view import found_words, picture, pointing, scene_of
from dpprof.dashboards.view.changes import changed
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.theme import GRAPH_CONFIG

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component

_CONFIG = {
    **GRAPH_CONFIG,
    "displaylogo": False,
    "displayModeBar": False,
    "doubleClick": False,
    "scrollZoom": False,
    "responsive": False,
}
_ABOUT = "Timeline; W S A D zoom and pan, the arrow keys select"
_POINTED = {"select": None, "area": None, "find": ""}
"""What only points something out, so that nothing has to be painted anew for it."""


def layout(context: Context) -> list[Component]:
    """The tools, the picture, and the panel of what is selected; filled by the callbacks."""
    from dash import dcc, html

    if not any(run.report.per_step for run in context.runs):
        words = "No step of these runs holds any activity, so there is nothing to draw."
        return [html.Section(html.P(words, className="empty"), className="panel")]
    waiting = loading_figure(context.theme)
    graph = dcc.Graph(id="timeline", figure=waiting, config=_CONFIG, clear_on_unhover=True)
    return [
        html.Section(
            [
                html.Div(tools(context), id="timeline-tools", className="tools"),
                html.Div(id="timeline-legend", className="legend"),
                _head(),
                html.Figure(
                    [
                        graph,
                        html.Div(id="timeline-drag"),
                        html.Div(id="timeline-hair", hidden=True),
                        html.Div(id="timeline-tip", className="tip", role="tooltip"),
                    ],
                    id="timeline-box",
                    className="graph timeline",
                    tabIndex=0,
                    role="group",
                    **{"aria-label": _ABOUT},
                ),
                html.Div(id="timeline-readout", className="readout", role="status"),
                html.Span(id="timeline-found", hidden=True),  # the search box shows it
                dcc.Store(id="timeline-pointer"),
                dcc.Store(id="timeline-act"),
                dcc.Store(id="timeline-drawn"),
            ],
            className="panel",
            **{"data-testid": "timeline-panel"},
        ),
        html.Section(id="timeline-details", className="panel details", **{"aria-live": "polite"}),
    ]


def _head() -> Component:
    """The whole step, what of it is shown, and the time axis; the browser fills all but the map."""
    from dash import html

    about = "The whole step; drag to pan"
    return html.Div(
        [
            html.Div(
                [
                    html.Img(id="timeline-map", alt="", draggable="false"),
                    html.Div(id="timeline-marks"),
                    html.Div(id="timeline-lens"),
                ],
                id="timeline-strip",
                title=about,
            ),
            html.Div(id="timeline-axis", **{"aria-hidden": "true"}),
        ],
        id="timeline-head",
    )


def report(context: Context) -> list[Component]:
    """The picture of the whole step with its legend, which zooms and says what things are."""
    from dash import dcc, html

    if not any(run.report.per_step for run in context.runs):
        return layout(context)
    figure, names, readout = report_timeline(context)
    words = [text for text in readout if not text.startswith("Click")]
    words.append("Drag zooms, with Shift pans, a double click shows the whole step. ")
    return [
        html.Section(
            [
                html.Div(names, className="legend"),
                html.Figure(dcc.Graph(figure=figure), className="graph timeline"),
                html.Div(words, className="readout"),
            ],
            className="panel",
        )
    ]


def _callbacks(app: Dash, library: Library) -> None:
    _draws(app, library)
    _answers(app, library)


def _draws(app: Dash, library: Library) -> None:
    """Draws what the URL says: only what has changed since it was drawn last."""
    from dash import Input, Output, State, no_update

    @app.callback(
        Output("timeline", "figure"),
        Output("timeline-legend", "children"),
        Output("timeline-readout", "children"),
        Output("timeline-tools", "children"),
        Output("timeline-map", "src"),
        Output("timeline-details", "children"),
        Output("timeline-found", "children"),
        Output("timeline-drawn", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("screen", "data"),
        State("timeline-drawn", "data"),
    )
    def draw(path: str, search: str, screen: Mapping[str, Any] | None, drawn: Any) -> Any:
        if screen is None or not (path or "").endswith(page.key):
            return (no_update,) * 8
        context, _ = context_of(library, path, search, screen)
        keys, before = _keys(context, screen), drawn if isinstance(drawn, dict) else {}
        same = {name for name, key in keys.items() if before.get(name) == key}
        painted = (no_update,) * 3
        if "picture" not in same:
            painted = picture(context, screen, with_axis=False)
        elif "pointed" not in same:
            painted = (_patch(pointing(context, screen)), no_update, no_update)
        return (
            *painted,
            no_update if "tools" in same or not before else tools(context),
            no_update if "map" in same else _map(context, screen),
            details(context, screen),
            found_words(context, screen),
            keys,
        )


def _keys(context: Context, screen: Mapping[str, Any]) -> dict[str, str]:
    """What each part of the page depends on."""
    view = context.view
    size = f"{context.theme.name} {screen.get('width')} {screen.get('height')}"
    return {
        "pointed": f"{size} {view.url()}",
        "picture": f"{size} {view.url(**_POINTED)}",
        "map": f"{size} {view.url(**_POINTED, time_range=None)}",
        "tools": view.url(**_POINTED, time_range=None),
    }


def _patch(parts: Mapping[str, Any]) -> Any:
    from dash import Patch

    figure: Any = Patch()
    for name, value in parts.items():
        figure["layout"][name] = value
    return figure


def _map(context: Context, screen: Mapping[str, Any]) -> str:
    return minimap(scene_of(context, screen), PictureLook(context.theme, context.view.color))


def _answers(app: Dash, library: Library) -> None:
    """Tells what the pointer is at, and turns clicks and keys into changes of the view."""
    from dash import Input, Output, State, no_update

    where = [State("url", "pathname"), State("url", "search"), State("screen", "data")]

    @app.callback(
        Output("timeline-tip", "children"),
        Input("timeline-pointer", "data"),
        *where,
        prevent_initial_call=True,
    )
    def point(at: Mapping[str, Any] | None, path: str, search: str, screen: Any) -> Any:
        if not at or screen is None:
            return []
        context, _ = context_of(library, path, search, screen)
        return tip(context, scene_of(context, screen), at)

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Input("timeline-act", "data"),
        *where,
        prevent_initial_call=True,
    )
    def change(what: Mapping[str, Any] | None, path: str, search: str, screen: Any) -> Any:
        if not what or screen is None:
            return no_update
        context, _ = context_of(library, path, search, screen)
        fields = act(context, scene_of(context, screen), what)
        if fields is None:
            return no_update
        asked = [{"prop_id": "change.data", "value": fields}]
        query = changed(context.view, asked, known_of(library))[0].search()
        return f"?{query}" if query else ""


page = Page(
    key="timeline",
    title="Timeline",
    order=20,
    layout=layout,
    about="What every rank does when, the bubbles and what they waited for.",
    live=frozenset({"time_range", "select", "ranks", "color", "options", "area", "find"}),
    options={
        "lanes": LANES,
        "rows": ROW_SIZES,
        "by": [by for by, _ in GROUPINGS],
        "pin": (),
        "messages": ("all",),
    },
    callbacks=_callbacks,
    report=report,
)
