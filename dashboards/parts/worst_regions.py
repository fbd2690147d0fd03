"""The table of the longest bubble regions of a step, page by page, each with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.analysis.accounting.bubble_regions import region_figures
from dpprof.analysis.observations import RegionFigures
from dpprof.dashboards.data.bubble_regions import LENGTH, step_regions, window_of
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.parts.choices import option_link
from dpprof.dashboards.parts.panel import empty, panel
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.dashboards.view.compared_runs import fine_unit, shown_step
from dpprof.dashboards.view.links import region_link
from dpprof.dashboards.view.page import Context
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit, share_text
from dpprof.reporters.report.sentences import reason_words
from dpprof.tables.columns import STATE
from dpprof.tables.devices import rank_name

if TYPE_CHECKING:
    from dash.development.base_component import Component

ALL = "all"
_PER_PAGE = 500

_COLUMNS = (
    Column("rank", "Opens the region in the timeline", number=False),
    Column("from", "Since the start of the step"),
    Column("length"),
    Column("of the step"),
    Column("phase", "Warm-up, steady or cooldown", number=False),
    Column("why", "The cause, and what was waited for", number=False),
    Column("slot", "The schedule slot that was held up", number=False),
)


def worst_regions(context: Context, run: LibraryRun, unit: TimeUnit) -> Component:
    """The regions of the step that is shown, the longest first, of the cause that is chosen."""
    step, cause = shown_step(context, run), context.option("cause", ALL)
    regions = step_regions(context.library, run, step)
    unit = fine_unit(unit, int(regions[LENGTH].max()) if len(regions) else 0)
    if cause != ALL:
        regions = regions[regions[STATE] == f"bubble.{cause}"]
    pages = max(1, -(-len(regions) // _PER_PAGE))
    number = min(_page_number(context.option("page")), pages)
    start, end = window_of(run, step)
    first = (number - 1) * _PER_PAGE
    shown = region_figures(
        regions.iloc[first : first + _PER_PAGE], {} if step is None else {step: start}
    )
    rows = [
        TableRow(str(first + place), _cells(context, run, (unit, end - start), one))
        for place, one in enumerate(shown)
    ]
    return panel(
        f"Worst regions: {run.name}, step {step}",
        table(f"regions-{run.id}", _COLUMNS, rows) if rows else empty("No such bubble."),
        _pager(context, number, pages, len(regions)),
        id=f"regions-{run.id}-panel",
        about=f"Maximal intervals of one cause, the longest first; times in {unit.name}",
    )


def _page_number(text: str) -> int:
    """The page of regions that the address asks for, the first where it makes no sense."""
    plain = text.isascii() and text.isdecimal() and len(text) < 10
    return max(int(text), 1) if plain else 1


def _cells(
    context: Context, run: LibraryRun, scale: tuple[TimeUnit, int], region: RegionFigures
) -> list[Component | str]:
    from dash import dcc

    unit, window_ns = scale
    return [
        dcc.Link(f"{rank_name(region.rank)}", href=region_link(context, run, region)),
        unit.text(region.offset_ns),
        unit.text(region.length_ns),
        share_text(region.length_ns / window_ns if window_ns else None),
        region.phase,
        reason_words(region),
        region.slot or UNKNOWN,
    ]


def _pager(context: Context, number: int, pages: int, count: int) -> Component:
    from dash import dcc, html

    links = [
        dcc.Link(text, href=option_link(context, "page", str(target)), className="choice")
        for text, target in (("previous", number - 1), ("next", number + 1))
        if 1 <= target <= pages
    ]
    words = f"{count:,} region{'s' * (count != 1)}, page {number} of {pages}"
    return html.Div([html.Span(words, className="label"), *links], className="pager")
