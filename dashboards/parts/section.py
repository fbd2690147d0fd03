"""Sections of reports, the same as in the terminal, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.dashboards.parts.panel import note
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.reporters.blocks.cells import Cell, Section

if TYPE_CHECKING:
    from dash.development.base_component import Component


def section_table(section: Section, id: str) -> Component:
    """The table of a section under its title, with its notes."""
    from dash import html

    heads = [
        Column(title, number=number >= section.text_columns)
        for number, title in enumerate(section.columns)
    ]
    rows = [
        TableRow(str(number), [_cell(cell) for cell in cells], depth=_depth(cells))
        for number, cells in enumerate(section.rows)
    ]
    return html.Div(
        [html.H3(section.title), table(id, heads, rows), *map(note, section.notes)],
        className="section tree" if any(row.depth for row in rows) else "section",
    )


def _depth(cells: Sequence[Cell]) -> int:
    """How far the first cell is indented: it is a part of what stands above it."""
    return len(cells[0].text) - len(cells[0].text.lstrip()) if cells else 0


def _cell(cell: Cell) -> Component | str:
    from dash import html

    depth = len(cell.text) - len(cell.text.lstrip())
    if not cell.share and not depth:
        return cell.text
    share = [html.Span(cell.share, className="share")] if cell.share else []
    return html.Span([cell.text.strip(), *share], style={"paddingLeft": f"{depth * 0.7}em"})
