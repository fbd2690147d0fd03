"""The tools above the timeline: what is drawn, how high, in which order, and the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.dashboards.data.library import IDEAL
from dpprof.dashboards.detail.index import LANES
from dpprof.dashboards.parts.perfetto import perfetto_button
from dpprof.dashboards.parts.picker import picker
from dpprof.dashboards.timeline.picture_rows import ROW_SIZES
from dpprof.dashboards.timeline.rank_order import GROUPINGS, group_choices
from dpprof.dashboards.view.changes import control_id
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import COLORS

if TYPE_CHECKING:
    from dash.development.base_component import Component

_LANES = [("together", "by role"), ("streams", "by stream")]
_ROWS = [(ROW_SIZES[0], "fit the window"), *((size, size) for size in ROW_SIZES[1:])]
_MESSAGES = [("", "of the selection"), ("all", "all messages")]
_BUTTONS = (
    ("w", "+", "Zoom in (W)"),
    ("s", "−", "Zoom out (S)"),  # noqa: RUF001 - a minus sign
    ("a", "◀", "Pan left (A)"),
    ("d", "▶", "Pan right (D)"),
    ("0", "whole step", "Show the whole step (0)"),
    (",", "< previous", "Previous bubble, slot or activity (,)"),
    (".", "next >", "Next bubble, slot or activity (.)"),
)


def tools(context: Context) -> list[Component]:
    """Pickers and buttons of a view; on a phone those that are seldom needed are folded away."""
    from dash import html

    drawn = [
        picker("color", "Colour by", COLORS, context.view.color),
        picker("o.lanes", "Lanes", _LANES, context.option("lanes", LANES[0])),
        picker("o.rows", "Rows", _ROWS, context.option("rows", ROW_SIZES[0])),
        picker("o.messages", "Arrows", _MESSAGES, context.option("messages")),
        *_rank_tools(context),
        *_ideal_link(context),
    ]
    return [
        html.Div(drawn, className="folds"),
        _move_buttons(),
        html.Button("options", className="button unfold", **{"aria-expanded": "false"}),
        html.Div(_save_buttons(context), className="folds"),
    ]


def _rank_tools(context: Context) -> list[Component]:
    from dash import dcc, html

    chosen = context.view.search_values()["ranks"]
    places = context.runs[0].run.places
    ranks = dcc.Input(
        id=control_id("ranks", chosen),
        value=chosen,
        placeholder="all",
        debounce=True,
        className="short",
        list="rank-groups",
    )
    groups = [html.Option(label, value=ranks) for ranks, label in group_choices(places)]
    about = "numbers and ranges, as in 0-3,7, or a group from the list"
    shown = html.Label(
        [html.Span("Ranks", className="label"), ranks, html.Datalist(groups, id="rank-groups")],
        className="field",
        title=about,
    )
    if len(places) < 2:
        return [shown]
    return [picker("o.by", "Order by", GROUPINGS, context.option("by")), shown]


def _move_buttons() -> Component:
    from dash import html

    return html.Div(
        [
            html.Button(text, className="icon", title=about, **{"data-key": key})
            for key, text, about in _BUTTONS
        ],
        className="buttons",
        role="group",
        **{"aria-label": "Zoom, pan and select"},
    )


def _save_buttons(context: Context) -> Component:
    from dash import html

    return html.Div(
        [
            html.Span("Save", className="label"),
            *[
                html.Button(form.upper(), className="icon", **{"data-save": form})
                for form in ("svg", "png")
            ],
            perfetto_button(context.runs[0].id),
        ],
        className="buttons",
    )


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
