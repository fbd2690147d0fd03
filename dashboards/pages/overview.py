"""The overview: the headline figures beside the baseline's, and what the difference is made of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dpprof.analysis.metrics import mean_ns
from dpprof.analysis.report.side_by_side import compare
from dpprof.dashboards.data.headline import (
    Headline,
    change_text,
    headlines,
    is_better,
    value_text,
)
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.difference import state_changes, waterfall
from dpprof.dashboards.figures.states import IDLE, INSIDE_SLOTS, StateBar, state_bars
from dpprof.dashboards.parts.badge import badge, run_name
from dpprof.dashboards.parts.findings import finding_list
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import (
    bound_notes,
    columns,
    evidence_notes,
    note,
    notes,
    panel,
    tables,
)
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.parts.table import Column, TableRow, table, unknown
from dpprof.dashboards.parts.tile import Tile, tiles
from dpprof.dashboards.view.compared_runs import ComparedRuns, compared, unlike
from dpprof.dashboards.view.page import Context, Page
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.reporters.report.comparison import comparison_sections
from dpprof.reporters.report.sentences import run_words, step_words

if TYPE_CHECKING:
    from dash.development.base_component import Component

_MOST_PANELS = 2
"""Runs beside the baseline that have panels of their own; of more, the first and a table of all."""

_ABOUT_SIDES = (
    "Ratios are to {}; times are per step. Here every kind counts for itself, also while others "
    "transfer; above, each instant is in one state, that of the first kind under way: exposed "
    "times may add up to more here"
)


def layout(context: Context) -> list[Component]:
    """What to look at and a panel of tiles per run, then what the runs share."""
    all_runs = compared(context)
    many = len(all_runs.runs) > _MOST_PANELS
    first = all_runs.runs[:1] if many else all_runs.runs
    return [
        *[_findings(context, run, all_runs.unit) for run in first],
        *([_matrix(context, all_runs)] if many else []),
        *[_headline_panel(run, all_runs) for run in first],
        *_differences(context, ComparedRuns(first, all_runs.base)),
        _states_panel(context, all_runs),
        *_side_by_side(all_runs),
    ]


def _matrix(context: Context, all_runs: ComparedRuns) -> Component:
    """The headline figures of many runs: a row for each, with its change from the baseline."""
    from dash import dcc

    unit, base = all_runs.unit, all_runs.base
    theirs = [] if base is None else headlines(base.report)
    rows = []
    for run in all_runs.everything:
        alone = context.link(runs=(run.id,), options={}, select=None)
        pairs = list(zip_longest(headlines(run.report), [] if run is base else theirs))
        cells = [_figure(own, other, unit) for own, other in pairs if own is not None]
        link = dcc.Link(run_name(run.id), href=alone)
        rows.append(TableRow(run.id, [link, *cells], emphasis=run is base))
    heads = [Column("run", "Opens it alone.", number=False)]
    heads += [Column(one.label, one.about) for one in headlines(all_runs.everything[0].report)]
    words = f"with the change from {run_name(base.id)}, the baseline" if base else ""
    return panel(
        "All runs", table("overview-runs", heads, rows), id="overview-runs-panel", about=words
    )


def _figure(own: Headline, other: Headline | None, unit: TimeUnit) -> Component:
    from dash import html

    if own.value is None:
        return unknown(own.reason)
    change = change_text(own, other, unit).partition(" (")[0] if other is not None else ""
    better = None if other is None else is_better(own, other)
    mood = {None: "", True: " better", False: " worse"}[better]
    said = html.Span(change, className=f"share verdict{mood}")
    return html.Span([value_text(own, unit), said])


def _headline_panel(run: LibraryRun, all_runs: ComparedRuns) -> Component:
    from dash import html

    report, base, unit = run.report, all_runs.base, all_runs.unit
    theirs = [] if base is None else headlines(base.report)
    pairs = zip_longest(headlines(report), theirs)
    words = f"{run_words(report)}; {step_words(report, unit)}"
    beside = [] if base is None else [note(f"Differences are from {base.id}, the baseline.")]
    return html.Section(
        [
            html.Div([badge(run), html.Span(words, className="about")], className="heading"),
            tiles([_tile(run.id, own, other, unit) for own, other in pairs]),
            *bound_notes(report.total),
            *beside,
            *notes([] if base is None else unlike(report, base.report)),
            *notes(others(report.warnings, report.evidence)),
        ],
        className="panel",
        **{"data-testid": f"headline-{run.id}", "aria-label": run.id},
    )


def _tile(run_id: str, own: Headline, other: Headline | None, unit: TimeUnit) -> Tile:
    return Tile(
        id=f"{run_id}-{own.id}",
        label=own.label,
        value=value_text(own, unit),
        about=own.about,
        change=_change(own, other, unit),
        better=None if other is None else is_better(own, other),
    )


def _change(own: Headline, other: Headline | None, unit: TimeUnit) -> str:
    if own.value is None:
        return own.reason
    return "" if other is None else change_text(own, other, unit)


def _differences(context: Context, all_runs: ComparedRuns) -> Iterator[Component]:
    from dash import dcc

    base, unit = all_runs.base, all_runs.unit
    diff = context.link(page="diff", options={}, select=None)
    for run in all_runs.runs if base is not None else ():
        assert base is not None
        changes = state_changes(run.report, base.report)
        if changes and base.report.step_ns is not None:
            names = (run.id, base.id)
            figure = waterfall(names, base.report.step_ns, changes, context.theme, unit)
            yield panel(
                f"What the difference from {base.id} is made of: {run.name}",
                graph(figure, f"difference-{run.id}", "Waterfall between the two step times"),
                dcc.Link("Take it apart: Diff", href=diff, className="button"),
                id=f"difference-{run.id}-panel",
                about="Change of the time in each state, mean of the ranks; together exactly the "
                "change of the step time",
            )


def _states_panel(context: Context, all_runs: ComparedRuns) -> Component:
    bars = [bar for run in all_runs.everything for bar in _bars(run)]
    return panel(
        "Where the time goes",
        graph(
            state_bars(bars, context.theme, all_runs.unit),
            "states",
            "Bars of the time that each run spends in each state, and of its ideal step",
        ),
        id="states-panel",
        about="Every instant of a rank's step is in exactly one state; mean of the ranks. Ideal: "
        "what the schedule allows with the run's own chunk times and free messages",
    )


def _bars(run: LibraryRun) -> Iterator[StateBar]:
    report, ideal = run.report, run.report.ideal
    means = {
        state: mean_ns(report, total) or 0.0 for state, total in report.total.states_ns.items()
    }
    yield StateBar(run.name, means)
    if ideal is not None and ideal.ranks:
        count = len(ideal.ranks) * ideal.steps
        idle = sum(rank.bubble_ns for rank in ideal.ranks) / count
        yield StateBar(
            f"{run.name}, ideal", {INSIDE_SLOTS: ideal.window_ns / ideal.steps - idle, IDLE: idle}
        )


def _findings(context: Context, run: LibraryRun, unit: TimeUnit) -> Component:
    """What costs most and what to change, in sentences; beside it what the evidence lacks."""
    from dash import html

    missing = evidence_notes(texts(run.report.evidence))
    evidence = [html.H3("Evidence"), *(missing or [note("Nothing is missing in the traces.")])]
    return panel(
        f"What to look at: {run_name(run.id)}",
        columns(
            html.Div(finding_list(context, run, unit)),
            html.Div(evidence, **{"data-testid": f"evidence-{run.id}"}),
        ),
        id=f"findings-{run.id}",
        about="Gains are upper bounds, each of one finding alone: they do not add up",
    )


def _side_by_side(all_runs: ComparedRuns) -> Iterator[Component]:
    if len(all_runs.everything) < 2:
        return
    comparison = compare([replace(run.report, name=run.name) for run in all_runs.everything])
    sections = [
        section_table(section, f"compared-{number}")
        for number, section in enumerate(comparison_sections(comparison))
    ]
    yield panel(
        "Side by side",
        tables(*sections),
        id="compared",
        about=_ABOUT_SIDES.format(run_name(all_runs.everything[-1].id)),
    )


page = Page(
    key="overview",
    title="Overview",
    order=10,
    layout=layout,
    tells_evidence=True,
    about="The headline figures beside the baseline's, and what the difference is made of.",
)
