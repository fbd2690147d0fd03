"""The table of communication kinds of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.analysis.figures import RankFigures
from dpprof.analysis.metrics import BLOCKING_UNKNOWN
from dpprof.dashboards.data.claimed import unclaimed_reason
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.parts.panel import bound_notes
from dpprof.dashboards.parts.table import Column, TableRow, table, unknown
from dpprof.reporters.blocks.bounds import bounded
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit, share_text
from dpprof.tables.devices import rank_name
from dpprof.tables.kinds import FUSED

if TYPE_CHECKING:
    from dash.development.base_component import Component

_COLUMNS = (
    Column("kind", "What is communicated", number=False),
    Column("transfer", "Time in which a transfer of the kind is under way"),
    Column("hidden", "Of it, the rank computes meanwhile"),
    Column("exposed", "Of it, the rank does not compute"),
    Column("hidden share", "Hidden, of the transfer"),
    Column("waiting", "Posted, and a peer is not there yet: no transfer"),
    Column("blocking", "Of the transfer, other work of the device waits for it"),
    Column("worst rank", "The rank that is exposed longest, and for how long"),
)


_FUSED = "one kernel communicates and computes: nobody can say how much of it is hidden"


def kind_table(run: LibraryRun, unit: TimeUnit) -> Component:
    """A row per kind that takes time: mean of the ranks per step, and the worst rank."""
    from dash import html

    report = run.report
    spans = max(len(report.ranks) * len(report.per_step), 1)
    rows = [
        TableRow(
            kind,
            [
                kind,
                *_cells(run, kind, spans, unit),
                _worst(run, kind, unit),
            ],
        )
        for kind, figures in report.total.by_kind.items()
        if figures.total_ns or figures.wait_ns
    ]
    if report.total.states_ns[FUSED]:
        fused = unit.text(report.total.states_ns[FUSED] / spans)
        cells = [unknown(_FUSED) for _ in _COLUMNS[2:]]
        rows.append(TableRow(FUSED, [FUSED, fused, *cells]))
    title = html.H3(f"{run.name}: {unit.name} per step, mean of the ranks")
    kinds = table(f"kinds-{run.id}", _COLUMNS, rows)
    return html.Div([title, kinds, *bound_notes(report.total)], className="section")


def _cells(run: LibraryRun, kind: str, spans: int, unit: TimeUnit) -> list[Component | str]:
    figures, reason = run.report.total.by_kind[kind], unclaimed_reason(run.report, kind)
    split: list[Component | str]
    share: Component | str = share_text(
        figures.hidden_ns / figures.total_ns if figures.total_ns else None
    )
    times = {name: getattr(figures, name) / spans for name in ("hidden_ns", "exposed_ns")}
    split = [bounded(unit.text(time), name, figures) for name, time in times.items()]
    if reason:
        share, split = unknown(reason), [unknown(reason), unknown(reason)]
    wait = (
        unknown("not matched with the peers' operations: waiting counts as transfer")
        if figures.wait_ns is None
        else bounded(unit.text(figures.wait_ns / spans), "wait_ns", figures)
    )
    blocking = (
        unknown(BLOCKING_UNKNOWN)
        if figures.blocking_ns is None
        else unit.text(figures.blocking_ns / spans)
    )
    total = bounded(unit.text(figures.total_ns / spans), "total_ns", figures)
    return [total, *split, share, wait, blocking]


def _worst(run: LibraryRun, kind: str, unit: TimeUnit) -> str:
    if unclaimed_reason(run.report, kind):
        return UNKNOWN

    def exposed(rank: RankFigures) -> int:
        return rank.by_kind[kind].exposed_ns if kind in rank.by_kind else 0

    worst = max(run.report.ranks, key=exposed)
    return (
        f"{rank_name(worst.rank)}: {unit.text(exposed(worst) / max(len(run.report.per_step), 1))}"
    )
