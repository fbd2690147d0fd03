"""The page of steps: how much a run varies across its steps and ranks."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from dpprof.analysis.figures import StepFigures
from dpprof.analysis.metrics import METRICS as FIGURES
from dpprof.analysis.model import Report
from dpprof.dashboards.data.headline import LACKING
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.step_matrix import METRICS, StepMatrix, step_matrix
from dpprof.dashboards.figures.steps import rank_spread, rank_steps, step_times
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import bound_notes, columns, note, panel
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.dashboards.parts.tile import Tile, tiles
from dpprof.dashboards.view.compared_runs import compared
from dpprof.dashboards.view.page import Context, Page
from dpprof.reporters.blocks.bounds import bounded, is_partial
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit, share_text, time_unit
from dpprof.tables.kinds import COMPUTE_ONLY, OVERLAP

if TYPE_CHECKING:
    from dash.development.base_component import Component

_METRIC = "metric"
_MOST_ROWS = 1000
_ONE_STEP = "one step: nothing to compare; profile more with --steps"


def layout(context: Context) -> list[Component]:
    """Step times, then the chosen metric by rank and step of every run."""
    metric = METRICS[context.option(_METRIC, next(iter(METRICS)))]
    runs = [run for run in context.runs if run.report.per_step]
    if not runs:
        return [panel("Steps", note("no step has any activity"), id="steps")]
    matrices = [(run.id, step_matrix(run.report, metric, context.view.ranks)) for run in runs]
    known = [number for number, (_, matrix) in enumerate(matrices) if matrix.known]
    times = step_times([(run.id, run.report) for run in runs], context.theme)
    return [
        panel(
            "Step times",
            *[_tiles(run, compared(context).unit) for run in runs],
            graph(times, "step-times", "Where the time of each step went"),
            id="step-times",
            about="Each bar is one step window; its parts are the mean of the ranks' states.",
        ),
        panel(
            "Ranks",
            choices(context, _METRIC, "Metric", [(key, one.label) for key, one in METRICS.items()]),
            *_spread(matrices, context),
            id="steps-ranks",
            about=metric.about,
        ),
        columns(*[_matrix(number, matrices, context) for number in known]),
        *[_table(run, context) for run in runs],
    ]


def _tiles(run: LibraryRun, unit: TimeUnit) -> Component:
    windows = [step.window_ns for step in run.report.per_step]
    several = len(windows) > 1
    if FIGURES["step_ns"].lacking(run.report):
        return note(f"{run.name}: step time n/a: {LACKING}; {_used(run.report)} steps used")
    mean = statistics.fmean(windows)
    deviation = statistics.stdev(windows) if several else None
    spread = max(windows) / min(windows) - 1 if several and min(windows) else None
    texts: list[tuple[str, str, str, str]] = [
        ("mean", f"{run.name}: step time", unit.full(mean), "Mean of the used steps' windows."),
        ("fastest", "fastest", unit.full(min(windows)), "The shortest step window."),
        ("slowest", "slowest", unit.full(max(windows)), "The longest step window."),
        ("spread", "slowest over fastest", _more(spread), "How much longer the slowest step is."),
        ("deviation", "standard deviation", unit.full(deviation), "Of the used steps' windows."),
        ("steps", "steps used", _used(run.report), "Steps accounted, and steps left out."),
    ]
    return tiles(
        [
            Tile(
                id=f"steps-{run.id}-{key}",
                label=label,
                value=value,
                about=_ONE_STEP if value == UNKNOWN else about,
            )
            for key, label, value, about in texts
        ]
    )


def _more(spread: float | None) -> str:
    return UNKNOWN if spread is None else f"+{spread:.2%}"


def _used(report: Report) -> str:
    dropped = f", {report.steps.dropped} dropped" if report.steps.dropped else ""
    return f"{report.steps.used}{dropped}"


def _spread(matrices: list[tuple[str, StepMatrix]], context: Context) -> list[Any]:
    known = [(id, matrix) for id, matrix in matrices if matrix.known]
    missing = [id for id, matrix in matrices if not matrix.known]
    label = matrices[0][1].metric.label
    notes = [note(f"{id}: {label} is not known from these traces") for id in missing]
    if not known:
        return notes
    about = f"{label} by rank: mean over the steps, smallest and largest"
    return [
        note("Marks: mean over the steps. Lines: the smallest and the largest step."),
        graph(rank_spread(known, context.theme), "steps-spread", about),
        *notes,
    ]


def _matrix(number: int, matrices: list[tuple[str, StepMatrix]], context: Context) -> Component:
    id, matrix = matrices[number]
    beside = [one for _, one in matrices]
    ranks, steps = matrix.left_out
    notes = []
    if ranks:
        notes.append(
            note(
                f"{len(matrix.ranks)} ranks that differ most from the median are shown, {ranks} "
                "are not; name ranks in the address to see others, as in ranks=0-31"
            )
        )
    if steps:
        notes.append(note(f"the first {len(matrix.steps)} steps are shown, {steps} later ones not"))
    title = f"{id}: {matrix.metric.label} by rank and step"
    shown = graph(rank_steps(matrix, context.theme, beside), f"steps-matrix-{id}", title)
    return panel(title, shown, *notes, id=f"steps-matrix-{id}")


def _table(run: LibraryRun, context: Context) -> Component:
    unit = time_unit(run.report.step_ns)
    steps = run.report.per_step
    heads = [
        Column("step", "Its number in the trace; opens its timeline."),
        Column(
            f"window, {unit.name}",
            "The job's, on the common clock, until the next step begins: steps leave no gap.",
        ),
        Column("to the mean", "Difference from the mean of the used steps."),
        Column(f"computing, {unit.name}", "Compute and overlap, mean of the ranks."),
        Column(f"exposed, {unit.name}", "Transfers under way and no compute, mean of the ranks."),
        Column(f"bubble, {unit.name}", "Idle for whatever cause, mean of the ranks."),
        Column("bubble share", "Bubble over window."),
        Column("busiest rank", "The rank that computes longest in this step."),
    ]
    rows = [_row(run, step, unit, context) for step in steps[:_MOST_ROWS]]
    left = len(steps) - len(rows)
    notes = [note(f"and {left} more steps")] if left > 0 else []
    notes += bound_notes(run.report.total)
    whole = table(f"steps-table-{run.id}", heads, rows)
    return panel(f"{run.name}: steps", whole, *notes, id=f"steps-{run.id}")


def _row(run: LibraryRun, step: StepFigures, unit: TimeUnit, context: Context) -> TableRow:
    from dash import dcc

    ranks = max(1, len(step.ranks))
    partial = next(filter(is_partial, step.ranks), None)

    def of_any(text: str, figure: str) -> str:
        if FIGURES[figure].lacking(run.report):
            return UNKNOWN
        return text if partial is None else bounded(text, figure, partial)

    mean = run.report.step_ns
    bubble = sum(one.bubble_ns for one in step.ranks)
    busiest = max(step.ranks, key=_computing, default=None)
    href = context.link(page="timeline", step=step.step, runs=(run.id,), options={}, select=None)
    return TableRow(
        str(step.step),
        [
            dcc.Link(str(step.step), href=href),
            of_any(unit.text(step.window_ns), "step_ns"),
            _change(step.window_ns / mean - 1) if mean else UNKNOWN,
            unit.text(sum(map(_computing, step.ranks)) / ranks),
            of_any(unit.text(sum(one.exposed_ns for one in step.ranks) / ranks), "exposed_ns"),
            of_any(unit.text(bubble / ranks), "bubble_ns"),
            of_any(
                share_text(bubble / ranks / step.window_ns if step.window_ns else None), "bubble_ns"
            ),
            UNKNOWN if busiest is None else f"{busiest.rank}: {unit.full(_computing(busiest))}",
        ],
    )


def _change(share: float) -> str:
    return f"{round(share, 4) + 0.0:+.2%}"


def _computing(rank: Any) -> int:
    return int(rank.states_ns[COMPUTE_ONLY] + rank.states_ns[OVERLAP])


page = Page(
    key="steps",
    title="Steps",
    order=60,
    layout=layout,
    options={_METRIC: tuple(METRICS)},
    about="How much the run varies from step to step and from rank to rank.",
)
