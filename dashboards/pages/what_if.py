"""The page of what-if: another schedule or size, simulated with the costs of a run, beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dpprof.analysis.model import Report
from dpprof.analysis.report.side_by_side import compare
from dpprof.dashboards.data.headline import change_text, headlines, is_better, value_text
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.figures.difference import state_changes, waterfall
from dpprof.dashboards.figures.loading import loading_figure
from dpprof.dashboards.pages.addresses import context_of
from dpprof.dashboards.parts.badge import badge
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import error_panel, note, notes, panel, tables
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.parts.tile import Tile, tiles
from dpprof.dashboards.parts.zoom import zoom_callback, zoom_id
from dpprof.dashboards.timeline.view import picture
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import GRAPH_CONFIG
from dpprof.dashboards.what_if.controls import choice
from dpprof.dashboards.what_if.costs import step_of_costs
from dpprof.dashboards.what_if.request import LAYERS, OPTIONS, WhatIf, measured_of, what_if_of
from dpprof.dashboards.what_if.simulated import as_it_ran, beside, report_of, simulated
from dpprof.errors import DpprofError
from dpprof.reporters.blocks.units import TimeUnit, time_unit
from dpprof.reporters.report.comparison import comparison_sections

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component

_KEY = "what_if"
_TIMELINE = "what-if-timeline"
_NS_PER_MS = 10**6
_NOT_A_STEP = "The schedule of {} is not known, so its step is nothing to compare this one with."


def layout(context: Context) -> list[Component]:
    """The choice; then figures, timeline and differences of what it gives beside the measured."""
    try:
        asked = what_if_of(context)
        run = simulated(context.library, asked)
    except DpprofError as error:
        return [choice(context, None), error_panel(str(error))]
    measured = measured_of(context)
    compared = measured.run.schedule is not None
    steps = (run.report.step_ns, measured.report.step_ns if compared else None)
    unit = time_unit(min(filter(None, steps), default=None))
    words = _remarks(context, asked, measured) if compared else [_NOT_A_STEP.format(measured.id)]
    return [
        choice(context, asked),
        _headlines(run, measured if compared else None, unit, words),
        _timeline(context),
        *(_difference(context, run, measured, unit) if compared else ()),
        _side_by_side(context, asked, run, measured if compared else None),
    ]


def _headlines(
    run: LibraryRun, measured: LibraryRun | None, unit: TimeUnit, words: Sequence[str]
) -> Component:
    from dash import html

    theirs = [] if measured is None else headlines(measured.report)
    pairs = zip_longest(headlines(run.report), theirs)
    shown = [
        Tile(
            id=f"what-if-{own.id}",
            label=own.label,
            value=value_text(own, unit),
            about=own.about,
            change=change_text(own, other, unit) if other and own.value is not None else "",
            better=None if other is None else is_better(own, other),
        )
        for own, other in pairs
        if own is not None
    ]
    line = [badge(run)]
    if measured is not None:
        line += [html.Span("beside", className="about"), badge(measured)]
    return html.Section(
        [
            html.Div(line, className="heading"),
            tiles(shown),
            *map(note, words),
            *notes(run.report.warnings),
        ],
        className="panel",
        **{"data-testid": "what-if-headlines", "aria-label": "Simulated figures"},
    )


def _remarks(context: Context, asked: WhatIf, measured: LibraryRun) -> list[str]:
    """What the differences are from, and what makes them say less than they seem to."""
    words = [f"Differences are from {measured.id}, as it ran. {_trust(context, asked, measured)}"]
    step = step_of_costs(context.library, asked.costs)
    if step is not None:
        words.append(f"The costs are those of step {step} of {asked.costs} alone: the run is big.")
    report = measured.report
    other_model = context.option(LAYERS) or asked.costs != measured.id
    if report.micro_batches != asked.micro_batches or (other_model and report.pp != asked.pp):
        words.append(
            f"A step is not the same work: PP {report.pp} and {report.micro_batches} micro-batches "
            f"measured, PP {asked.pp} and {asked.micro_batches} simulated; compare shares and "
            "tokens/s."
        )
    return words


def _trust(context: Context, asked: WhatIf, measured: LibraryRun) -> str:
    """How near the simulator comes where it can be checked: on what was measured itself."""
    step, report = measured.report.step_ns, report_of(context.library, as_it_ran(asked, measured))
    same = None if report is None else report.step_ns
    if not step or same is None:
        return ""
    unit = time_unit(step)
    return (
        f"How far to trust it: simulated with the same costs, {measured.id} itself takes "
        f"{unit.full(same)}, {same / step - 1:+.1%} of the measured {unit.full(step)}."
    )


def _timeline(context: Context) -> Component:
    from dash import dcc, html

    config = dict(GRAPH_CONFIG) | {"displayModeBar": False, "doubleClick": "reset"}
    return panel(
        "Simulated above measured",
        html.Div(id="what-if-legend", className="legend"),
        html.Figure(
            dcc.Graph(
                id=zoom_id(_KEY, _TIMELINE), figure=loading_figure(context.theme), config=config
            ),
            className="graph timeline",
            **{"aria-label": "Timelines of the simulated and the measured run"},
        ),
        html.Div(id="what-if-readout", className="readout", role="status"),
        id="what-if-timeline-panel",
        about="Drag to zoom, double click for the whole step.",
    )


def _difference(
    context: Context, run: LibraryRun, measured: LibraryRun, unit: TimeUnit
) -> list[Component]:
    changes = state_changes(run.report, measured.report)
    step = measured.report.step_ns
    if not changes or step is None:
        return []
    figure = waterfall(("what if", measured.id), step, changes, context.theme, unit)
    shown = graph(figure, "what-if-difference", "Waterfall from the measured step to the simulated")
    return [
        panel(
            "What the difference is made of",
            shown,
            id="what-if-difference-panel",
            about="Change of the time in each state, mean of the ranks; together exactly the "
            "difference of the step times.",
        )
    ]


def _side_by_side(
    context: Context, asked: WhatIf, run: LibraryRun, measured: LibraryRun | None
) -> Component:
    reports = [replace(run.report, name="what if")]
    if measured is None:
        return panel("Figures", tables(*_sections(reports)), id="what-if-compared")
    own = as_it_ran(asked, measured)
    same = None if own == asked else report_of(context.library, own)
    if same is not None:
        reports.append(replace(same, name=f"{measured.id}, simulated"))
    reports.append(replace(measured.report, name=f"{measured.id}, {measured.source}"))
    return panel(
        "Side by side",
        tables(*_sections(reports)),
        id="what-if-compared",
        about=f"Ratios are to {measured.id} as it ran; times are per step.",
    )


def _sections(reports: Sequence[Report]) -> list[Component]:
    return [
        section_table(section, f"what-if-table-{number}")
        for number, section in enumerate(comparison_sections(compare(reports)))
    ]


def _callbacks(app: Dash, library: Library) -> None:
    from dash import Input, Output, no_update

    zoom_callback(_KEY)(app, library)

    @app.callback(
        Output(zoom_id(_KEY, _TIMELINE), "figure"),
        Output("what-if-legend", "children"),
        Output("what-if-readout", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("screen", "data"),
    )
    def draw(path: str, search: str, screen: Mapping[str, Any] | None) -> Any:
        if screen is None or not (path or "").endswith(_KEY):
            return (no_update,) * 3
        context, _ = context_of(library, path, search, screen)
        try:
            return timelines(context, screen)
        except DpprofError:
            return (no_update,) * 3  # the page says it


def timelines(context: Context, screen: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The picture of the simulated step above the measured one, its legend, and what it shows."""
    run = simulated(context.library, what_if_of(context))
    measured, view = measured_of(context), context.view
    both = ViewState(
        page="timeline",
        runs=(run.id, measured.id),
        step=view.step,
        time_range=view.time_range,
        ranks=view.ranks,
        color=view.color,
    )
    shown = Context(beside(context.library, run), both, context.theme)
    figure, legend, readout = picture(shown, screen)
    window = max(figure.layout.meta["whole_ns"], 1)
    figure.update_layout(
        yaxis={"fixedrange": True}, meta={"nanoseconds": _NS_PER_MS, "window_ns": window}
    )
    return figure, legend, readout[:2]


def report(context: Context) -> list[Component]:
    """Nothing: a choice that cannot be made is no part of a report."""
    del context
    return []


page = Page(
    key=_KEY,
    title="What-if",
    order=90,
    layout=layout,
    live=frozenset({"time_range"}),
    callbacks=_callbacks,
    report=report,
    options=OPTIONS,
    about="Another schedule or size, simulated with the costs of a run, beside what was measured.",
)
