"""The page of the critical path: what the end of the step waited for, all the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from dpprof.analysis.critical_path.walk import critical_path
from dpprof.analysis.figures import StepFigures
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.detail.path import path_bars
from dpprof.dashboards.figures.critical_path import path_figure, rank_shares
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import columns, empty, note, panel, tables
from dpprof.dashboards.parts.table import Column, TableRow, bar, table
from dpprof.dashboards.parts.zoom import zoom_callback, zoom_id
from dpprof.dashboards.view.compared_runs import compared
from dpprof.dashboards.view.links import timeline_link
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.state import Selection
from dpprof.dashboards.view.steps import view_step
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit, share_text, time_unit
from dpprof.reporters.diff.kernel_names import shown_names
from dpprof.tables.columns import END, KIND, LANE, NAME, RANK, SLOT, START, STEP, WHY

if TYPE_CHECKING:
    from dash.development.base_component import Component

_KEY = "critical_path"
_COLUMNS = 1000
_MOST_RUNS = 3
_MOST_ROWS = 500
_MOST_PIECES = 300
_LONGEST_NAME = 64
_NO_PATH = "no step has any activity, or evidence is missing for who waited for whom (see warnings)"
_ABOUT = (
    "The chain of work, launches and messages that the end of the step waited for; making anything "
    "off it faster does not shorten the step."
)


def layout(context: Context) -> list[Component]:
    """The path of the shown step of every run, what it is made of, and its longest pieces."""
    all_runs = compared(context)
    left_out = [note(text) for text in all_runs.left_out(_MOST_RUNS)]
    runs = [
        run for run in all_runs.some(_MOST_RUNS) if run.report.per_step and run.report.critical_path
    ]
    if not runs:
        nothing = panel("Critical path", empty(_NO_PATH), id="critical-path")
        return [*left_out, nothing]
    longest = max(run.report.step_ns or 0 for run in runs)
    unit = time_unit(longest)
    return [
        *left_out,
        *[_path(run, context) for run in runs],
        columns(_kinds(runs, unit, context), _ranks(runs, unit, context)),
        tables(*[_names(run, context) for run in runs]),
        *[_longest(run, context) for run in runs],
    ]


def path_of(library: Library, run: LibraryRun) -> pd.DataFrame:
    """The pieces of the path of each used step of a run, found once."""
    return library.kept(("critical path", run.id), lambda: critical_path(run.run))


def shown_step(run: LibraryRun, context: Context) -> StepFigures:
    """The step that the view shows; the first where it has none of that number."""
    steps = run.report.per_step
    number = view_step(context.view.step, [one.step for one in steps])
    return next(one for one in steps if one.step == number)


def _path(run: LibraryRun, context: Context) -> Component:
    step = shown_step(run, context)
    path = path_of(context.library, run)
    path = path[path[STEP] == step.step]
    begin, end = context.view.time_range or (0, step.window_ns)
    begin = min(begin, max(0, step.window_ns - 1))
    span = (begin, max(begin + 1, min(end, step.window_ns)))
    bars = path_bars(path, (step.start_ns + span[0], step.start_ns + span[1]), _COLUMNS)
    unit = time_unit(step.window_ns)
    figure = path_figure(bars, step.start_ns, span, context.theme, unit)
    figure.update_layout(meta={"nanoseconds": unit.nanoseconds, "window_ns": step.window_ns})
    title = f"{run.name}: critical path of step {step.step}"
    shown = graph(figure, "critical-path", title)
    shown.children.id = zoom_id(_KEY, run.id)
    words = f"{len(path):,} pieces in {unit.full(step.window_ns)}"
    if len(bars) < len(path):
        words += f", drawn as {len(bars):,}: short ones of a rank are drawn as one"
    return panel(title, shown, note(words), id=f"path-{run.id}", about=_ABOUT)


def _kinds(runs: Sequence[LibraryRun], unit: TimeUnit, context: Context) -> Component:
    figures = [(run, run.report.critical_path) for run in runs]
    kinds: dict[str, int] = {}
    for _, path in figures:
        for kind, time in (path.by_kind_ns if path else {}).items():
            kinds[kind] = kinds.get(kind, 0) + time
    heads = [
        Column(
            "what", "Kind of activity; host: a launch came late; idle: nothing explains it.", False
        )
    ]
    for run in runs:
        heads += [
            Column(f"{run.id}, {unit.name}", "Time per step that the path runs through it."),
            Column("share", "Share of the step."),
        ]
    rows = [
        TableRow(
            kind, [kind, *[cell for run in runs for cell in _kind_cells(run, kind, unit, context)]]
        )
        for kind in sorted(kinds, key=lambda kind: -kinds[kind])
    ]
    messages = [
        f"{run.name}: {path.messages / len(run.report.per_step):,.0f} times a step from a rank to "
        "another"
        for run, path in figures
        if path
    ]
    return panel(
        "What it runs through",
        table("path-kinds", heads, rows),
        note("; ".join(messages)),
        id="path-kinds-panel",
    )


def _kind_cells(run: LibraryRun, kind: str, unit: TimeUnit, context: Context) -> list[Any]:
    path = run.report.critical_path
    time = path.by_kind_ns.get(kind, 0) if path else 0
    share = time / run.report.window_ns if run.report.window_ns else 0.0
    color = context.theme.color(kind)
    return [unit.text(time / len(run.report.per_step)), bar(share, share_text(share), color)]


def _ranks(runs: Sequence[LibraryRun], unit: TimeUnit, context: Context) -> Component:
    shares = [
        (run.id, run.report.critical_path.by_rank_ns, len(run.report.per_step))
        for run in runs
        if run.report.critical_path
    ]
    shown = graph(rank_shares(shares, context.theme, unit), "path-ranks", "The path by rank")
    return panel("Where it runs", shown, id="path-ranks-panel")


def _names(run: LibraryRun, context: Context) -> Component:
    """What to make faster first: the work that the paths of all used steps run through most."""
    path = path_of(context.library, run)
    path = path.assign(length=path[END] - path[START], **{KIND: path[KIND].astype(str)})
    path = path.assign(**{NAME: path[NAME].astype(str)})
    sums = path.groupby([KIND, NAME])["length"].agg(["sum", "size"])
    sums = sums.sort_values("sum", ascending=False, kind="stable")
    unit, steps = time_unit(run.report.step_ns), len(run.report.per_step)
    heads = [
        Column("work", "Name of the activity, or of the one that had to wait.", False),
        Column("kind", number=False),
        Column(f"{unit.name} per step", "How much shorter the step could be without it, at most."),
        Column("share", "Share of the step."),
        Column("pieces per step", "How often the path comes by."),
    ]
    shown = shown_names(sums.index.get_level_values(NAME)[:_MOST_ROWS], _LONGEST_NAME)
    rows = [
        TableRow(
            str(number),
            [
                named(name, shown),
                kind,
                unit.text(time / steps),
                share_text(time / run.report.window_ns if run.report.window_ns else None),
                f"{count / steps:,.1f}",
            ],
        )
        for number, ((kind, name), time, count) in enumerate(
            zip(sums.index[:_MOST_ROWS], sums["sum"], sums["size"], strict=False)
        )
    ]
    left = len(sums) - len(rows)
    notes = [note(f"and {left:,} more")] if left > 0 else []
    title = f"{run.name}: worth making faster"
    whole = table(f"path-names-{run.id}", heads, rows)
    return panel(title, whole, *notes, id=f"path-names-panel-{run.id}")


def _longest(run: LibraryRun, context: Context) -> Component:
    step = shown_step(run, context)
    path = path_of(context.library, run)
    path = path[path[STEP] == step.step]
    path = path.assign(length=path[END] - path[START], at=path[START] - step.start_ns)
    path = path.sort_values("length", ascending=False, kind="stable").head(_MOST_PIECES)
    unit = time_unit(step.window_ns)
    heads = [
        Column(f"at, {unit.name}", "From the start of the step; opens it in the timeline."),
        Column(f"length, {unit.name}"),
        Column("rank"),
        Column("kind", number=False),
        Column("slot", "The schedule slot that caused it.", False),
        Column("work", number=False),
        Column("why it is on the path", number=False),
    ]
    shown = shown_names(map(str, path[NAME]), _LONGEST_NAME)
    rows = [
        _piece(number, row, context, (run, step, unit, shown))
        for number, row in enumerate(path.to_dict("records"))
    ]
    title = f"{run.name}: longest pieces of step {step.step}"
    return panel(title, table(f"path-longest-{run.id}", heads, rows), id=f"path-pieces-{run.id}")


def _piece(
    number: int,
    row: dict[Any, Any],
    context: Context,
    of: tuple[LibraryRun, StepFigures, TimeUnit, Mapping[str, str]],
) -> TableRow:
    from dash import dcc

    run, step, unit, shown = of
    what = "event" if row[LANE] else "bubble"
    select = Selection(what, run.id, int(row[RANK]), int(row["at"]))
    span = (int(row["at"]), int(row["at"] + row["length"]))
    href = timeline_link(context, step.step, span, select)
    return TableRow(
        str(number),
        [
            dcc.Link(unit.text(row["at"]), href=href),
            unit.text(row["length"]),
            str(row[RANK]),
            str(row[KIND]),
            str(row[SLOT]) or UNKNOWN,
            named(str(row[NAME]), shown),
            str(row[WHY]),
        ],
    )


def named(name: str, shown: Mapping[str, str]) -> Component:
    """A name from a trace as it is `shown`, the whole for whoever points at it or copies it."""
    from dash import html

    return html.Span(
        shown[name] or UNKNOWN, title=name, className="name", **{"data-whole": "" if name else None}
    )


page = Page(
    key=_KEY,
    title="Critical path",
    order=70,
    layout=layout,
    callbacks=zoom_callback(_KEY),
    about="What the end of the step waited for, all the way back through ranks and messages.",
)
