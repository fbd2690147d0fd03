"""Tables of figures: numbers to the right, a sentence on every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dpprof.reporters.blocks.units import UNKNOWN

if TYPE_CHECKING:
    from dash.development.base_component import Component


@dataclass(frozen=True)
class Column:
    """A column: its title, what it means, and whether it holds numbers."""

    title: str
    about: str = ""
    number: bool = True


@dataclass(frozen=True)
class TableRow:
    """Cells, texts or components, under a key that no other row of the table has."""

    key: str
    cells: Sequence[Any]
    emphasis: bool = False


def table(id: str, columns: Sequence[Column], rows: Sequence[TableRow]) -> Component:
    """A table; every row has the test id ``<id>-<key>``, every cell its column's number."""
    from dash import html

    head = html.Thead(html.Tr([_head(one) for one in columns]))
    body = html.Tbody([_row(id, columns, one) for one in rows])
    whole = html.Table([head, body], className="figures", **{"data-testid": id})
    return html.Div(whole, className="scroll", tabIndex=0, role="region", **{"aria-label": id})


def known_table(id: str, columns: Sequence[Column], rows: Sequence[TableRow]) -> Component:
    """The same without columns in which every cell is ``n/a``."""
    kept = [
        place for place in range(len(columns)) if any(row.cells[place] != UNKNOWN for row in rows)
    ]
    return table(
        id,
        [columns[place] for place in kept],
        [replace(row, cells=[row.cells[place] for place in kept]) for row in rows],
    )


def unknown(reason: str) -> Component:
    """``n/a``, with the reason for whoever points at it."""
    from dash import html

    return html.Span(UNKNOWN, className="unknown", title=reason)


def bar(share: float, text: str, color: str) -> Component:
    """A number with a bar of its share behind it."""
    from dash import html

    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    back = html.Span(className="bar", style={"width": width, "background": color})
    return html.Span([back, html.Span(text)], className="barred")


def _head(column: Column) -> Component:
    from dash import html

    name = "number" if column.number else ""
    return html.Th(column.title, className=name, title=column.about, scope="col")


def _row(id: str, columns: Sequence[Column], row: TableRow) -> Component:
    from dash import html

    cells = [
        html.Td(cell, className="number" if column.number else "", **{"data-column": str(number)})
        for number, (column, cell) in enumerate(zip(columns, row.cells, strict=True))
    ]
    name = "emphasis" if row.emphasis else ""
    return html.Tr(cells, className=name, **{"data-testid": f"{id}-{row.key}"})
