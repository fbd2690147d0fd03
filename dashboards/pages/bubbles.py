"""The bubbles: by rank, phase and cause, when they are, and the worst with the way to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpprof.dashboards.data.bubble_regions import (
    by_cause,
    idle_shares,
    step_regions,
    waited_matrix,
    window_of,
    with_known_bubbles,
    without_bubbles,
)
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.bubbles import (
    RunCauses,
    RunIdle,
    RunMatrix,
    bubble_bars,
    cause_icicle,
    idle_map,
    waited_map,
)
from dpprof.dashboards.figures.overlap import RunReport
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import bound_notes, columns, empty, note, panel, tables
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.dashboards.parts.worst_regions import ALL, worst_regions
from dpprof.dashboards.view.compared_runs import ComparedRuns, compared, shown_step
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.words import CAUSE_ABOUT, cause_word
from dpprof.reporters.blocks.bounds import bounded
from dpprof.reporters.blocks.units import TimeUnit, share_text
from dpprof.tables.devices import rank_label, rank_name
from dpprof.tables.kinds import BUBBLE_STATES

if TYPE_CHECKING:
    from dash.development.base_component import Component

_MOST_RUNS = 3
_BINS = 240
_MOST_RANKS = 128
"""Ranks in a picture of them against each other or against time."""


def layout(context: Context) -> list[Component]:
    """Ranks, causes, times, then the worst regions of every run."""
    all_runs = compared(context)
    runs = all_runs.some(_MOST_RUNS)
    unknown = [_unknown(run) for run in runs if not _known_ranks(run)]
    runs = tuple(run for run in runs if _known_ranks(run))
    if not any(run.report.total.bubble_ns for run in runs):
        idle = [panel("Bubbles", empty("No rank is ever idle in the used steps."), id="bubbles")]
        return unknown if unknown and not runs else [*unknown, *idle]
    states = [one for one in BUBBLE_STATES if any(run.report.total.states_ns[one] for run in runs)]
    return [
        *map(note, all_runs.left_out(_MOST_RUNS)),
        *unknown,
        _ranks_panel(context, runs, all_runs.unit),
        *_idle_panel(context, runs, all_runs),
        columns(*[_causes_panel(context, run, all_runs.unit) for run in runs]),
        *_waited_panel(context, runs, all_runs.unit),
        _filters(context, states),
        *[worst_regions(context, run, all_runs.unit) for run in runs],
    ]


def _unknown(run: LibraryRun) -> Component:
    """Why nothing is said of a run's bubbles."""
    why = next(iter(without_bubbles(run.report).values()), "no rank is in its traces")
    return panel(f"Bubbles: {run.name}", empty(f"n/a: {why}"), id=f"bubbles-{run.id}")


def _known_ranks(run: LibraryRun) -> list[int]:
    """The ranks whose bubbles the evidence carries."""
    missing = without_bubbles(run.report)
    return [one.rank for one in run.report.ranks if one.rank not in missing]


def _ranks_panel(context: Context, runs: Sequence[LibraryRun], unit: TimeUnit) -> Component:
    shown = [RunReport(run.name, with_known_bubbles(run.report)) for run in runs]
    figure = bubble_bars(shown, context.theme, unit)
    no_ideal = [
        note(f"{run.name}: no ideal: {_no_ideal(run)}") for run in runs if run.report.ideal is None
    ]
    return panel(
        "Bubbles by rank and cause",
        graph(figure, "bubbles-ranks", "Bubbles of every rank by cause, with the ideal as a mark"),
        tables(*[_cause_table(run, unit) for run in runs]),
        *no_ideal,
        *[note(one, warning=True) for run in runs for one in _ranks_left_out(run)],
        id="bubbles-ranks-panel",
        about="Idle: neither computing, transferring nor copying. The mark is what the schedule "
        "allows with the run's own chunk times and free messages",
    )


def _ranks_left_out(run: LibraryRun) -> list[str]:
    """The ranks whose bubbles are n/a, and why."""
    missing = without_bubbles(run.report)
    why = dict.fromkeys(missing.values())
    return [
        f"{run.name}, rank{'s' * (len(ranks) > 1)} {', '.join(map(rank_label, ranks))}: n/a: {text}"
        for text in why
        if (ranks := [rank for rank, other in missing.items() if other == text])
    ]


def _no_ideal(run: LibraryRun) -> str:
    known = run.report.schedule is not None
    return "see the warnings on the overview" if known else "the schedule is not known"


_CAUSE_COLUMNS = (
    Column("cause", "Why the ranks are idle", number=False),
    Column("time", "Mean of the ranks"),
    Column("of the step"),
    Column("of the bubbles"),
    Column("worst rank", "The rank that is idle longest for this cause, and for how long"),
)


def _cause_table(run: LibraryRun, unit: TimeUnit) -> Component:
    from dash import html

    report = with_known_bubbles(run.report)
    total, steps = report.total, max(len(report.per_step), 1)
    spans = max(len(report.ranks), 1) * steps
    rows = []
    for state in BUBBLE_STATES:
        time = total.states_ns[state]
        if time:
            worst = max(report.ranks, key=lambda rank, state=state: rank.states_ns[state])  # type: ignore[misc]
            name = html.Span(cause_word(state), title=CAUSE_ABOUT[state])
            most = f"{rank_name(worst.rank)}: {unit.text(worst.states_ns[state] / steps)}"
            shares = (share_text(time / total.window_ns), share_text(time / total.bubble_ns))
            mean = bounded(unit.text(time / spans), state, total)
            rows.append(TableRow(cause_word(state), [name, mean, *shares, most]))
    whole = [
        bounded(unit.text(total.bubble_ns / spans), "bubble_ns", total),
        bounded(share_text(total.bubble_share), "bubble_share", total),
        *("", ""),
    ]
    rows.append(TableRow("all", ["all", *whole], total=True))
    title = html.H3(f"{run.name}: {unit.name} per step, mean of the ranks")
    causes = table(f"causes-{run.id}", _CAUSE_COLUMNS, rows)
    return html.Div([title, causes, *bound_notes(total)], className="section")


def _idle_panel(
    context: Context, runs: Sequence[LibraryRun], all_runs: ComparedRuns
) -> list[Component]:
    shown = []
    for run in runs:
        step = shown_step(context, run)
        start, end = window_of(run, step)
        if end - start >= _BINS:
            edges = np.linspace(start, end, _BINS + 1).astype(np.int64)
            ranks = _ranks(context, run)
            regions = step_regions(context.library, run, step)
            shown.append(
                RunIdle(run.name, ranks, edges - start, idle_shares(regions, ranks, edges))
            )
    if not shown:
        return []
    figure = idle_map(shown, context.theme, all_runs.unit)
    return [
        panel(
            f"When ranks are idle: {_steps_words(context, runs)}",
            graph(figure, "bubbles-when", "Heat map of idle time by rank and time"),
            *_left_out(runs),
            *_few_ranks(runs),
            id="bubbles-when-panel",
            about=f"Share of each of {_BINS} equal parts of the step",
        )
    ]


def _ranks(context: Context, run: LibraryRun) -> list[int]:
    """The ranks chosen, or the first of all."""
    present = _known_ranks(run)
    chosen = [rank for rank in context.view.ranks if rank in present]
    return (chosen or present)[:_MOST_RANKS]


def _steps_words(context: Context, runs: Sequence[LibraryRun]) -> str:
    steps = {run.id: shown_step(context, run) for run in runs}
    several = {step for step in steps.values() if step is not None}
    if len(several) == 1:
        return f"step {several.pop()}"
    return ", ".join(f"step {step} of {id}" for id, step in steps.items() if step is not None)


def _left_out(runs: Sequence[LibraryRun]) -> list[Component]:
    return [
        note(
            f"{run.name}: {run.accounting.left_out.regions:,} regions, the shortest of each rank, "
            f"are not listed ({run.accounting.left_out.total_ns / 1e6:.1f} ms together)",
            warning=True,
        )
        for run in runs
        if run.accounting.left_out.regions
    ]


def _few_ranks(runs: Sequence[LibraryRun]) -> list[Component]:
    return [
        note(f"{run.name}: {_MOST_RANKS} of {len(run.report.ranks)} ranks are shown; add ranks=...")
        for run in runs
        if len(run.report.ranks) > _MOST_RANKS
    ]


def _causes_panel(context: Context, run: LibraryRun, unit: TimeUnit) -> Component:
    step = shown_step(context, run)
    causes = RunCauses(run.name, by_cause(step_regions(context.library, run, step)))
    figure = cause_icicle(causes, context.theme, unit)
    return panel(
        f"Phase, cause and who was waited for: {run.name}, step {step}",
        graph(figure, f"bubbles-causes-{run.id}", "Bubbles by phase, cause and rank waited for"),
        id=f"bubbles-causes-{run.id}-panel",
        about="Time of all ranks together; click a part to look closer",
    )


def _waited_panel(context: Context, runs: Sequence[LibraryRun], unit: TimeUnit) -> list[Component]:
    shown = []
    for run in runs:
        ranks = _ranks(context, run)
        regions = step_regions(context.library, run, shown_step(context, run))
        matrix = waited_matrix(regions, ranks)
        if matrix.any():
            shown.append(RunMatrix(run.name, ranks, matrix))
    if not shown:
        return []
    figure = waited_map(shown, context.theme, unit)
    return [
        panel(
            f"Who waits for whom: {_steps_words(context, runs)}",
            graph(figure, "bubbles-waited", "Heat map of ranks that wait and are waited for"),
            id="bubbles-waited-panel",
            about="Bubbles of a rank (row) that name the rank waited for (column)",
        )
    ]


def _filters(context: Context, states: Sequence[str]) -> Component:
    from dash import html

    values = [(ALL, "all causes"), *((cause_word(one), cause_word(one)) for one in states)]
    return html.Div(
        choices(context, "cause", "Worst regions", values, "page"), className="bar-of-choices"
    )


page = Page(
    key="bubbles",
    title="Bubbles",
    order=40,
    layout=layout,
    about="Idle time by rank, phase and cause; the worst regions, with the way to each.",
    options={"cause": (ALL, *map(cause_word, BUBBLE_STATES)), "page": ()},
)
