"""The communication operations that are exposed longest or take longest, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpprof.analysis.overlap.by_operation import longest_of_kinds
from dpprof.dashboards.data.claimed import unclaimed_reason
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.data.operations import Operations
from dpprof.dashboards.parts.panel import empty, panel
from dpprof.dashboards.parts.table import Column, TableRow, known_table, unknown
from dpprof.dashboards.view.compared_runs import fine_unit
from dpprof.dashboards.view.links import timeline_link
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Selection
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit
from dpprof.reporters.diff.kernel_names import shown_names
from dpprof.tables.columns import KIND, NAME, SLOT, TOTAL
from dpprof.tables.devices import rank_label

if TYPE_CHECKING:
    from dash.development.base_component import Component

_MOST = 50  # of a kind, and as many of the longest
_LONGEST_NAME = 48


_COLUMNS = (
    Column("operation", "Opens it in the timeline", number=False),
    Column("rank"),
    Column("step"),
    Column("at", "Where it begins in the step"),
    Column("slot", "The schedule slot that it belongs to", number=False),
    Column("layer", "Within the chunk of the rank"),
    Column("transfer", "The whole transfer"),
    Column("exposed", "Transferring while the rank does not compute"),
    Column("hidden", "Transferring while the rank computes"),
)


def longest_operations(context: Context, operations: Operations, unit: TimeUnit) -> Component:
    """The table of a run; each operation leads to its place in the timeline."""
    run = operations.run
    longest = longest_of_kinds(operations.longest, _MOST)
    unit = fine_unit(unit, int(longest[TOTAL].max()) if len(longest) else 0)
    longest = longest.astype({SLOT: str, KIND: str, NAME: str})
    shown = shown_names(longest[NAME], _LONGEST_NAME)
    rows = [
        TableRow(str(number), _cells(context, run, (unit, shown), one))
        for number, one in enumerate(longest.itertuples())
    ]
    whole = known_table(f"longest-{run.id}", _COLUMNS, rows)
    return panel(
        f"Longest operations: {run.name}",
        whole if rows else empty("No operation transfers anything."),
        id=f"longest-{run.id}-panel",
        about=f"The {_MOST} most exposed and the {_MOST} longest of each kind, the most exposed "
        f"first; times in {unit.name}",
    )


def _cells(
    context: Context, run: LibraryRun, how: tuple[TimeUnit, Mapping[str, str]], one: Any
) -> list[Component | str]:
    from dash import dcc, html

    unit, shown = how

    origin = next(step.start_ns for step in run.report.per_step if step.step == one.step)
    span = (one.start_ns - origin, one.end_ns - origin)
    select = Selection("event", run.id, one.rank, span[0], one.number)
    words = one.kind if one.slot else f"{one.kind}: {shown[one.name]}"
    link = dcc.Link(words, href=timeline_link(context, one.step, span, select))
    reason = unclaimed_reason(run.report, one.kind)
    return [
        html.Span(link, title=one.name),
        rank_label(one.rank),
        str(one.step),
        unit.text(span[0]),
        one.slot or UNKNOWN,
        UNKNOWN if one.layer < 0 else str(one.layer),
        unit.text(one.total_ns),
        *(
            [unknown(reason)] * 2
            if reason
            else [unit.text(one.exposed_ns), unit.text(one.hidden_ns)]
        ),
    ]
