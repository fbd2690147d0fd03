"""The overview: the headline figures beside the baseline's, and what the difference is made of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from dpprof.analysis.model import Report
from dpprof.analysis.report.side_by_side import compare
from dpprof.dashboards.data.headline import (
    Headline,
    change_text,
    headlines,
    is_better,
    mean_ns,
    value_text,
)
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.difference import state_changes, waterfall
from dpprof.dashboards.figures.states import IDLE, INSIDE_SLOTS, StateBar, state_bars
from dpprof.dashboards.parts.badge import badge
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import columns, evidence_notes, note, notes, panel, tables
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.parts.tile import Tile, tiles
from dpprof.dashboards.view.compared_runs import ComparedRuns, compared, shown_step, unlike
from dpprof.dashboards.view.links import region_link
from dpprof.dashboards.view.page import Context, Page
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.units import TimeUnit, share_text
from dpprof.reporters.report.comparison import comparison_sections
from dpprof.reporters.report.sentences import path_words, region_words, run_words, step_words
from dpprof.tables.devices import rank_name

if TYPE_CHECKING:
    from dash.development.base_component import Component

_MOST_BUBBLES = 5
_LEAST_SHOWN = 0.005
"""Of the unit: shorter bubbles would be shown as 0.00."""


def layout(context: Context) -> list[Component]:
    """A panel of tiles per run, then what the runs share."""
    all_runs = compared(context)
    return [
        *[_headline_panel(run, all_runs) for run in all_runs.runs],
        *_differences(context, all_runs),
        _states_panel(context, all_runs),
        columns(*[_findings(context, run, all_runs.unit) for run in all_runs.runs]),
        *_side_by_side(all_runs),
    ]


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
            *beside,
            *notes([] if base is None else unlike(report, base.report)),
            *evidence_notes(texts(report.evidence)),
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
                f"What the difference from {base.id} is made of: {run.id}",
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
    yield StateBar(run.id, means)
    if ideal is not None and ideal.ranks:
        count = len(ideal.ranks) * ideal.steps
        idle = sum(rank.bubble_ns for rank in ideal.ranks) / count
        yield StateBar(
            f"{run.id}, ideal", {INSIDE_SLOTS: ideal.window_ns / ideal.steps - idle, IDLE: idle}
        )


def _findings(context: Context, run: LibraryRun, unit: TimeUnit) -> Component:
    from dash import dcc, html

    report = run.report
    step, least = shown_step(context, run), _LEAST_SHOWN * unit.nanoseconds
    regions = [one for one in report.regions if one.step == step and one.length_ns >= least]
    longest = sorted(regions, key=lambda one: (-one.length_ns, one.start_ns))
    bubbles = [
        html.Li(
            dcc.Link(region_words(one, unit, with_step=False), href=region_link(context, run, one))
        )
        for one in longest[:_MOST_BUBBLES]
    ]
    lines = [text for text in (path_words(report), _waited_words(report, unit)) if text]
    return panel(
        f"What to look at: {run.id}",
        html.Ul([html.Li(text) for text in lines]),
        html.H3(f"Longest bubbles of step {step}, in the timeline"),
        html.Ol(bubbles) if bubbles else note("No rank is idle for long enough to be listed."),
        id=f"findings-{run.id}",
    )


def _waited_words(report: Report, unit: TimeUnit) -> str:
    if len(report.ranks) < 2 or not report.waited_for or not report.total.bubble_ns:
        return ""
    most = report.waited_for[0]
    share = share_text(most.bubble_ns / report.total.bubble_ns)
    time = unit.full(most.bubble_ns / max(len(report.per_step), 1))
    return (
        f"{rank_name(most.rank)} is waited for most: {time} per step, {share} of all ranks' bubbles"
    )


def _side_by_side(all_runs: ComparedRuns) -> Iterator[Component]:
    if len(all_runs.everything) < 2:
        return
    comparison = compare([run.report for run in all_runs.everything])
    sections = [
        section_table(section, f"compared-{number}")
        for number, section in enumerate(comparison_sections(comparison))
    ]
    yield panel(
        "Side by side",
        tables(*sections),
        id="compared",
        about=f"Ratios are to {all_runs.everything[-1].id}; times are per step",
    )


page = Page(
    key="overview",
    title="Overview",
    order=10,
    layout=layout,
    about="The headline figures beside the baseline's, and what the difference is made of.",
)
