"""The overlap of communication with computing: per rank and kind, by operation, distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dashboards.comparing import compared
from dashboards.exposures import BY, by_operation, layer_grid, short_name, spread
from dashboards.figures.distribution import RunGrid, RunSpread, heat_maps, spread_boxes
from dashboards.figures.overlap import RunOperations, RunReport, operation_bars, rank_bars
from dashboards.library import Library, LibraryRun
from dashboards.links import timeline_link
from dashboards.page import Context, Page
from dashboards.parts.choices import choices
from dashboards.parts.graph import graph
from dashboards.parts.panel import columns, empty, note, panel
from dashboards.parts.table import Column, Row, known_table, table, unknown
from dashboards.state import Selection
from dpprof.analysis.exposure import Exposure, exposure
from dpprof.analysis.figures import KindFigures, RankFigures
from dpprof.reporters.units import UNKNOWN, TimeUnit, share_text
from dpprof.tables.columns import KIND, NAME, SLOT
from dpprof.tables.kinds import COMMUNICATION_KINDS

if TYPE_CHECKING:
    import pandas as pd
    from dash.development.base_component import Component

_ALL = "all"
_MEASURES = (("share", "exposed share"), ("time", "exposed time"))
_MOST_RUNS = 3
_MOST_LONGEST = 12
_UNLABELLED = (
    "No communication of these runs says its layer or micro-batch; label the training loop to "
    "see them apart (docs/capture.md)"
)


def layout(context: Context) -> list[Component]:
    """Ranks and kinds, operations, distributions, then the longest of every run."""
    all_runs = compared(context)
    runs, unit = all_runs.everything[:_MOST_RUNS], all_runs.unit
    kinds = _kinds(runs)
    if not kinds:
        return [panel("Overlap", empty("No rank communicates in the used steps."), id="overlap")]
    kind = context.option("kind", _ALL)
    kind = kind if kind in kinds else _ALL
    tables = [(run, _of_kind(exposure_of(context.library, run).table, kind)) for run in runs]
    return [
        _controls(context, kinds),
        _ranks_panel(context, runs, unit, kind),
        _operations_panel(context, tables, unit),
        _grid_panel(context, tables, unit),
        _spread_panel(context, tables),
        columns(*[_longest_panel(context, run, unit, kind) for run in runs]),
    ]


def exposure_of(library: Library, run: LibraryRun) -> Exposure:
    """What computing hides of the operations of a run, measured when first asked for."""
    return library.kept(("exposure", run.id), lambda: exposure(run.run))


def _kinds(runs: Sequence[LibraryRun]) -> list[str]:
    """Kinds that take any time, in any run."""
    present = {
        kind
        for run in runs
        for kind, figures in run.report.total.by_kind.items()
        if figures.total_ns or figures.wait_ns
    }
    return [kind for kind in COMMUNICATION_KINDS if kind in present]


def _of_kind(found: pd.DataFrame, kind: str) -> pd.DataFrame:
    return found if kind == _ALL else found[found[KIND] == kind]


def _controls(context: Context, kinds: Sequence[str]) -> Component:
    from dash import html

    values = [(_ALL, "all kinds"), *((kind, kind) for kind in kinds)]
    return html.Div(choices(context, "kind", "Kind", values), className="bar-of-choices")


def _ranks_panel(
    context: Context, runs: Sequence[LibraryRun], unit: TimeUnit, kind: str
) -> Component:
    shown = [RunReport(run.id, run.report) for run in runs]
    figure = rank_bars(shown, context.theme, unit, "" if kind == _ALL else kind)
    about = "Hidden and exposed transfers of every rank by kind, and waiting beneath"
    return panel(
        "Hidden, exposed and waiting, by rank",
        graph(figure, "overlap-ranks", about),
        columns(*[_kind_table(run, unit) for run in runs]),
        id="overlap-ranks-panel",
        about="Hidden: the rank computes meanwhile. Exposed: it does not. Waiting: posted, and a "
        "peer is not there yet. Kinds that overlap count in each of them",
    )


_KIND_COLUMNS = (
    Column("kind", "What is communicated", number=False),
    Column("transfer", "Time in which a transfer of the kind is under way"),
    Column("hidden", "Of it, the rank computes meanwhile"),
    Column("exposed", "Of it, the rank does not compute"),
    Column("hidden share", "Hidden, of the transfer"),
    Column("waiting", "Posted, and a peer is not there yet: no transfer"),
    Column("worst rank", "The rank that is exposed longest, and for how long"),
)


def _kind_table(run: LibraryRun, unit: TimeUnit) -> Component:
    from dash import html

    report = run.report
    spans = max(len(report.ranks) * len(report.per_step), 1)
    rows = [
        Row(kind, [kind, *_kind_cells(figures, spans, unit), _worst(run, kind, unit)])
        for kind, figures in report.total.by_kind.items()
        if figures.total_ns or figures.wait_ns
    ]
    title = html.H3(f"{run.id}: {unit.name} per step, mean of the ranks")
    return html.Div([title, table(f"kinds-{run.id}", _KIND_COLUMNS, rows)], className="section")


def _kind_cells(figures: KindFigures, spans: int, unit: TimeUnit) -> list[Component | str]:
    share = figures.hidden_ns / figures.total_ns if figures.total_ns else None
    times = (figures.total_ns, figures.hidden_ns, figures.exposed_ns)
    wait = (
        unknown("not matched with the peers' operations: waiting counts as transfer")
        if figures.wait_ns is None
        else unit.text(figures.wait_ns / spans)
    )
    return [*[unit.text(time / spans) for time in times], share_text(share), wait]


def _worst(run: LibraryRun, kind: str, unit: TimeUnit) -> str:
    def exposed(rank: RankFigures) -> int:
        return rank.by_kind[kind].exposed_ns if kind in rank.by_kind else 0

    worst = max(run.report.ranks, key=exposed)
    return f"rank {worst.rank}: {unit.text(exposed(worst) / max(len(run.report.per_step), 1))}"


def _operations_panel(
    context: Context, tables: Sequence[tuple[LibraryRun, pd.DataFrame]], unit: TimeUnit
) -> Component:
    shown = [
        RunOperations(run.id, by_operation(found), len(run.report.ranks) * len(run.report.per_step))
        for run, found in tables
    ]
    figure = operation_bars(shown, context.theme, unit)
    return panel(
        "Which operations expose it",
        graph(figure, "overlap-operations", "Exposed and hidden time by operation"),
        id="overlap-operations-panel",
        about="dispatch, F in F&B: the dispatch of the forward in an overlapped pair",
    )


def _spread_panel(context: Context, tables: Sequence[tuple[LibraryRun, pd.DataFrame]]) -> Component:
    by = context.option("by", next(iter(BY)))
    shown = [RunSpread(run.id, spread(found, by)) for run, found in tables]
    figure = spread_boxes(shown, context.theme, by)
    return panel(
        "How evenly it is hidden",
        choices(context, "by", "By", [(one, one) for one in BY]),
        graph(figure, "overlap-spread", f"Boxes of the hidden share of operations by {by}"),
        id="overlap-spread-panel",
        about="Hidden share of single operations: quartiles, least and most",
    )


def _grid_panel(
    context: Context, tables: Sequence[tuple[LibraryRun, pd.DataFrame]], unit: TimeUnit
) -> Component:
    grids = [(run, layer_grid(found)) for run, found in tables]
    shown = [
        RunGrid(run.id, grid, len(run.report.per_step)) for run, grid in grids if grid is not None
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
    silent = [note(f"{run.id}: {_UNLABELLED}") for run, grid in grids if grid is None]
    return panel(
        title,
        choices(context, "measure", "Show", _MEASURES),
        graph(figure, "overlap-grid", "Heat map of exposed communication"),
        *coarse,
        *silent,
        id="overlap-grid-panel",
        about="Layers are those of the rank's chunk; micro-batches are numbered by direction",
    )


_LONGEST_COLUMNS = (
    Column("operation", "Opens it in the timeline", number=False),
    Column("rank"),
    Column("step"),
    Column("slot", "The schedule slot that it belongs to", number=False),
    Column("layer", "Within the chunk of the rank"),
    Column("exposed", "Transferring while the rank does not compute"),
    Column("hidden", "Transferring while the rank computes"),
)


def _longest_panel(context: Context, run: LibraryRun, unit: TimeUnit, kind: str) -> Component:
    longest = _of_kind(exposure_of(context.library, run).longest, kind).head(_MOST_LONGEST)
    operations = longest.astype({SLOT: str, KIND: str, NAME: str}).itertuples()
    rows = [
        Row(str(number), _longest_cells(context, run, unit, one))
        for number, one in enumerate(operations)
    ]
    shown = known_table(f"longest-{run.id}", _LONGEST_COLUMNS, rows)
    return panel(
        f"Longest exposed operations: {run.id}",
        shown if rows else empty("All of it is hidden."),
        id=f"longest-{run.id}-panel",
        about=f"times in {unit.name}",
    )


def _longest_cells(
    context: Context, run: LibraryRun, unit: TimeUnit, one: Any
) -> list[Component | str]:
    from dash import dcc

    origin = next(step.start_ns for step in run.report.per_step if step.step == one.step)
    span = (one.start_ns - origin, one.end_ns - origin)
    select = Selection("event", run.id, one.rank, span[0], one.number)
    words = one.kind if one.slot else f"{one.kind}: {short_name(one.name)}"
    return [
        dcc.Link(words, href=timeline_link(context, one.step, span, select)),
        str(one.rank),
        str(one.step),
        one.slot or UNKNOWN,
        UNKNOWN if one.layer < 0 else str(one.layer),
        unit.text(one.exposed_ns),
        unit.text(one.hidden_ns),
    ]


page = Page(
    key="overlap",
    title="Overlap",
    order=30,
    layout=layout,
    about="Communication hidden under computing, exposed and waiting: where and of what.",
    options={
        "kind": (_ALL, *COMMUNICATION_KINDS),
        "by": tuple(BY),
        "measure": tuple(value for value, _ in _MEASURES),
    },
)
