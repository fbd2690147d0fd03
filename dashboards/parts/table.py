"""Tables of figures: numbers to the right, a sentence on every column.

The browser gets a table as one piece of HTML, without a component for every cell;
``assets/tables.js`` sorts, filters, copies and saves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.view.html_markup import CONTENT, Markup
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
    total: bool = False
    depth: int = 0


def table(id: str, columns: Sequence[Column], rows: Sequence[TableRow]) -> Component:
    """A table; every row has the test id ``<id>-<key>``.

    However rows are sorted, those that are a `total` stay at the foot, and those with a `depth`
    beneath the last one before them that has less.
    """
    from dash import html

    head = html.Thead(html.Tr([_head(one) for one in columns]))
    body = html.Tbody([_row(id, columns, one) for one in rows if not one.total])
    foot = [_row(id, columns, one) for one in rows if one.total]
    parts = [head, body, *([html.Tfoot(foot)] if foot else [])]
    whole = html.Table(parts, className="figures", **{"data-testid": id})
    framed = html.Div(whole, className="scroll", tabIndex=0, role="region", **{"aria-label": id})
    return in_one_piece(framed)


def in_one_piece(content: Component) -> Component:
    """`content` as HTML that the browser takes as it is: quick where it has many cells.

    It may hold texts, elements and links; what a callback fills has no place in it.
    """
    from dash import html

    made = html.Div(
        className="piece", **{"data-html": Markup(place_of=lambda href: href).html(content)}
    )
    setattr(made, CONTENT, content)
    return made


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

    kind = {"className": "number"} if column.number else {}
    if not column.title:
        return html.Td(**kind)
    about = {"title": column.about} if column.about else {}
    return html.Th(column.title, scope="col", **kind, **about)


def _row(id: str, columns: Sequence[Column], row: TableRow) -> Component:
    from dash import html

    cells = [
        html.Td(cell, className="number") if column.number else html.Td(cell)
        for column, cell in zip(columns, row.cells, strict=True)
    ]
    place = {"data-testid": f"{id}-{row.key}"} | (
        {"data-depth": str(row.depth)} if row.depth else {}
    )
    return html.Tr(
        cells, **({"className": "emphasis"} if row.emphasis or row.total else {}), **place
    )
