"""The overlap of communication with computing: per rank and kind, by operation, distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.dashboards.data.claimed import unclaimed_kinds
from dpprof.dashboards.data.exposure_tables import ALL, BY
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.data.operations import Operations
from dpprof.dashboards.figures.distribution import RunGrid, RunSpread, heat_maps, spread_boxes
from dpprof.dashboards.figures.overlap import RunOperations, RunReport, operation_bars, rank_bars
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.kind_table import kind_table
from dpprof.dashboards.parts.longest_operations import longest_operations
from dpprof.dashboards.parts.panel import empty, note, notes, panel, tables
from dpprof.dashboards.view.compared_runs import compared
from dpprof.dashboards.view.page import Context, Page
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.kinds import COMMUNICATION_KINDS, FUSED

if TYPE_CHECKING:
    from dash.development.base_component import Component

_MEASURES = (("share", "exposed share"), ("time", "exposed time"))
_MOST_RUNS = 3
_UNLABELLED = (
    "No communication of these runs says its layer or micro-batch; label the training loop to "
    "see them apart (docs/capture.md)"
)


def layout(context: Context) -> list[Component]:
    """Ranks and kinds, operations, distributions, then the longest of every run."""
    all_runs = compared(context)
    runs, unit = all_runs.some(_MOST_RUNS), all_runs.unit
    kinds = _kinds(runs)
    if not kinds:
        nothing = "No rank communicates in the used steps."
        return [panel("Overlap", empty(nothing), *_unknown(runs), id="overlap")]
    kind = context.option("kind", ALL)
    kind = kind if kind in kinds else ALL
    operations = [Operations(context.library, run, kind) for run in runs]
    return [
        *map(note, all_runs.left_out(_MOST_RUNS)),
        _controls(context, kinds),
        _ranks_panel(context, runs, unit, kind),
        _operations_panel(context, operations, unit),
        _grid_panel(context, operations, unit),
        _spread_panel(context, operations),
        tables(*[longest_operations(context, one, unit) for one in operations]),
    ]


def _kinds(runs: Sequence[LibraryRun]) -> list[str]:
    """Kinds that take any time, in any run."""
    present = {
        kind
        for run in runs
        for kind, figures in run.report.total.by_kind.items()
        if figures.total_ns or figures.wait_ns
    }
    return [kind for kind in COMMUNICATION_KINDS if kind in present]


def _controls(context: Context, kinds: Sequence[str]) -> Component:
    from dash import html

    values = [(ALL, "all kinds"), *((kind, kind) for kind in kinds)]
    return html.Div(choices(context, "kind", "Kind", values), className="bar-of-choices")


def _ranks_panel(
    context: Context, runs: Sequence[LibraryRun], unit: TimeUnit, kind: str
) -> Component:
    shown = [RunReport(run.name, run.report) for run in runs]
    figure = rank_bars(shown, context.theme, unit, "" if kind == ALL else kind)
    about = "Hidden and exposed transfers of every rank by kind, and waiting beneath"
    return panel(
        "Hidden, exposed and waiting, by rank",
        graph(figure, "overlap-ranks", about),
        tables(*[kind_table(run, unit) for run in runs]),
        *_unknown(runs),
        id="overlap-ranks-panel",
        about="Hidden: the rank computes meanwhile. Exposed: it does not. Waiting: posted, and a "
        "peer is not there yet. Kinds that overlap count in each of them",
    )


def _unknown(runs: Sequence[LibraryRun]) -> list[Component]:
    """Why figures are missing or say less than they seem to."""
    reasons = [
        f"{run.name}: hidden share n/a: {run.report.total.hidden_reason}"
        for run in runs
        if run.report.total.hidden_reason and _moves_anything(run)
    ]
    return notes([*reasons, *(note for run in runs for note in _unsplit_notes(run))])


def _moves_anything(run: LibraryRun) -> bool:
    total = run.report.total
    return bool(total.communication_ns or total.states_ns[FUSED])


def _unsplit_notes(run: LibraryRun) -> list[str]:
    """Which waiting is not known, or only in part."""
    kinds = run.report.total.by_kind
    nothing = [kind for kind, one in kinds.items() if one.wait_ns is None]
    partly = [kind for kind, one in kinds.items() if one.unsplit_ns and kind not in nothing]
    rest = "not matched with the peers' operations, so it counts as transfer"
    notes = [f"{run.name}: waiting n/a for {', '.join(nothing)}: {rest}"] if nothing else []
    return notes + [
        f"{run.name}: waiting of {kind} is at least that: {kinds[kind].unsplit_ns / 1e6:.2f} ms of "
        f"it were {rest}"
        for kind in partly
    ]


def _operations_panel(context: Context, tables: Sequence[Operations], unit: TimeUnit) -> Component:
    shown = [
        RunOperations(
            one.run.name,
            one.alike,
            len(one.run.report.ranks) * len(one.run.report.per_step),
            unclaimed_kinds(one.run.report),
        )
        for one in tables
    ]
    figure = operation_bars(shown, context.theme, unit)
    return panel(
        "Which operations expose it",
        graph(figure, "overlap-operations", "Exposed and hidden time by operation"),
        id="overlap-operations-panel",
        about="dispatch, F in F&B: the dispatch of the forward in an overlapped pair",
    )


def _spread_panel(context: Context, tables: Sequence[Operations]) -> Component:
    default = next((by for by in BY if any(by in one.said for one in tables)), next(iter(BY)))
    by = context.option("by", default)
    shown = [RunSpread(one.run.name, one.spread(by)) for one in tables]
    shown = [one for one in shown if len(one.table)]
    if not shown:
        nothing = empty("Nobody can say how much of it is hidden: the reasons stand above.")
        return panel("How evenly it is hidden", nothing, id="overlap-spread-panel")
    figure = spread_boxes(shown, context.theme, by)
    return panel(
        "How evenly it is hidden",
        choices(context, "by", "By", [(one, one) for one in BY], default=default),
        graph(figure, "overlap-spread", f"Boxes of the hidden share of operations by {by}"),
        id="overlap-spread-panel",
        about="Hidden share of single operations: quartiles, least and most",
    )


def _grid_panel(context: Context, tables: Sequence[Operations], unit: TimeUnit) -> Component:
    grids = [(one.run, one.grid) for one in tables]
    shown = [
        RunGrid(run.name, grid, len(run.report.per_step)) for run, grid in grids if grid is not None
    ]
    title = "Exposed by layer and micro-batch"
    if not shown:
        return panel(title, empty(_UNLABELLED), id="overlap-grid-panel")
    measure = context.option("measure", _MEASURES[0][0])
    figure = heat_maps(shown, context.theme, unit, measure)
    coarse = [
        note(f"{one.id}: {one.grid.grouped[0]} layers x {one.grid.grouped[1]} micro-batches a cell")
        for one in shown
        if one.grid.grouped != (1, 1)
    ]
    silent = [note(f"{run.name}: {_UNLABELLED}") for run, grid in grids if grid is None]
    return panel(
        title,
        choices(context, "measure", "Show", _MEASURES),
        graph(figure, "overlap-grid", "Heat map of exposed communication"),
        *coarse,
        *silent,
        id="overlap-grid-panel",
        about="Layers are those of the rank's chunk; micro-batches are numbered by direction",
    )


page = Page(
    key="overlap",
    title="Overlap",
    order=30,
    layout=layout,
    about="Communication hidden under computing, exposed and waiting: where and of what.",
    options={
        "kind": (ALL, *COMMUNICATION_KINDS),
        "by": tuple(BY),
        "measure": tuple(value for value, _ in _MEASURES),
    },
)
