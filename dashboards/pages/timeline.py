"""The timeline: what every rank does when, the bubbles with their causes, runs on one time axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.app.downloads import perfetto_button
from dpprof.dashboards.data.library import IDEAL, Library
from dpprof.dashboards.detail.index import LANES
from dpprof.dashboards.figures.loading import loading_figure
from dpprof.dashboards.parts.picker import picker
from dpprof.dashboards.timeline.interaction import act
from dpprof.dashboards.timeline.panel import details, tip
from dpprof.dashboards.timeline.view import picture, scene_of
from dpprof.dashboards.view.changes import control_id
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.state import COLORS
from dpprof.dashboards.view.theme import GRAPH_CONFIG

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component

_LANES = [("together", "by role"), ("streams", "by stream")]
_BUTTONS = (
    ("w", "+", "Zoom in (W)"),
    ("s", "−", "Zoom out (S)"),  # noqa: RUF001 - a minus sign
    ("a", "◀", "Pan left (A)"),
    ("d", "▶", "Pan right (D)"),
    ("0", "whole step", "Show the whole step (0)"),
    (",", "< previous", "Previous bubble or activity (,)"),
    (".", "next >", "Next bubble or activity (.)"),
)
_REPORT_PX = 1360
_CONFIG = {
    **GRAPH_CONFIG,
    "displaylogo": False,
    "displayModeBar": False,
    "doubleClick": False,
    "scrollZoom": False,
    "responsive": False,
}


def layout(context: Context) -> list[Component]:
    """The toolbar, the picture, and the panel of what is selected; filled by the callbacks."""
    from dash import dcc, html

    if not any(run.report.per_step for run in context.runs):
        words = "No step of these runs holds any activity, so there is nothing to draw."
        return [html.Section(html.P(words, className="empty"), className="panel")]
    waiting = loading_figure(context.theme)
    graph = dcc.Graph(id="timeline", figure=waiting, config=_CONFIG, clear_on_unhover=True)
    return [
        html.Section(
            [
                html.Div(_tools(context), className="tools"),
                html.Div(id="timeline-legend", className="legend"),
                html.Figure(
                    [graph, html.Div(id="timeline-tip", className="tip", role="tooltip")],
                    id="timeline-box",
                    className="graph timeline",
                    tabIndex=0,
                    role="group",
                    **{"aria-label": "Timeline; W S A D zoom and pan, . and , select"},
                ),
                html.Div(id="timeline-readout", className="readout", role="status"),
                dcc.Store(id="timeline-pointer"),
                dcc.Store(id="timeline-act"),
            ],
            className="panel",
            **{"data-testid": "timeline-panel"},
        ),
        html.Section(id="timeline-details", className="panel details", **{"aria-live": "polite"}),
    ]


def report(context: Context) -> list[Component]:
    """The picture of the whole step with its legend, where nothing can be zoomed or selected."""
    from dash import dcc, html

    if not any(run.report.per_step for run in context.runs):
        return layout(context)
    figure, names, readout = picture(context, {"width": _REPORT_PX})
    figure.update_layout(dragmode=False)
    words = [text for text in readout if not text.startswith("Click")]
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


def _tools(context: Context) -> list[Component]:
    from dash import dcc, html

    chosen = context.view.search_values()["ranks"]
    ranks = dcc.Input(
        id=control_id("ranks", chosen),
        value=chosen,
        placeholder="all",
        debounce=True,
        className="short",
    )
    return [
        picker("color", "Colour by", COLORS, context.view.color),
        picker("o.lanes", "Lanes", _LANES, context.option("lanes", LANES[0])),
        html.Label([html.Span("Ranks", className="label"), ranks], className="field"),
        *_ideal_link(context),
        html.Div(
            [
                html.Button(text, className="icon", title=about, **{"data-key": key})
                for key, text, about in _BUTTONS
            ],
            className="buttons",
            role="group",
            **{"aria-label": "Zoom, pan and select"},
        ),
        html.Div(
            [
                html.Span("Save", className="label"),
                *[
                    html.Button(form.upper(), className="icon", **{"data-save": form})
                    for form in ("svg", "png")
                ],
                perfetto_button(context.runs[0].id),
            ],
            className="buttons",
        ),
    ]


def _ideal_link(context: Context) -> list[Component]:
    """Each run above what its schedule would allow, and back."""
    from dash import dcc, html

    measured = [run.id for run in context.runs if not run.id.endswith(IDEAL)]
    above = [
        id
        for run in context.runs
        for id in (run.id, run.id + IDEAL)
        if run.report.ideal is not None
    ]
    if not above and len(measured) == len(context.runs):
        return []
    text = "above ideal" if len(measured) == len(context.runs) else "without ideal"
    runs = tuple(above if len(measured) == len(context.runs) else measured)
    about = "what the schedule allows with the measured chunk times and messages that take no time"
    link = dcc.Link(text, href=context.link(runs=runs, select=None), className="button")
    return [html.Span(link, title=about)]


def _callbacks(app: Dash, library: Library) -> None:
    _draws(app, library)
    _answers(app, library)


def _draws(app: Dash, library: Library) -> None:
    """Draws what the URL says."""
    from dash import Input, Output, no_update

    from dpprof.dashboards.app.app import context_of

    @app.callback(
        Output("timeline", "figure"),
        Output("timeline-legend", "children"),
        Output("timeline-readout", "children"),
        Output("timeline-details", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("screen", "data"),
    )
    def draw(path: str, search: str, screen: Mapping[str, Any] | None) -> Any:
        if screen is None or not (path or "").endswith(page.key):
            return (no_update,) * 4
        context, _ = context_of(library, path, search, screen)
        return (*picture(context, screen), details(context, screen))


def _answers(app: Dash, library: Library) -> None:
    """Tells what the pointer is at, and turns clicks and keys into changes of the view."""
    from dash import Input, Output, State, no_update

    from dpprof.dashboards.app.app import context_of

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
        Output("change", "data", allow_duplicate=True),
        Input("timeline-act", "data"),
        *where,
        prevent_initial_call=True,
    )
    def change(what: Mapping[str, Any] | None, path: str, search: str, screen: Any) -> Any:
        if not what or screen is None:
            return no_update
        context, _ = context_of(library, path, search, screen)
        changes = act(context, scene_of(context, screen), what)
        return no_update if changes is None else changes


page = Page(
    key="timeline",
    title="Timeline",
    order=20,
    layout=layout,
    about="What every rank does when, the bubbles and what they waited for.",
    live=frozenset({"time_range", "select"}),
    options={"lanes": LANES},
    callbacks=_callbacks,
    report=report,
)
