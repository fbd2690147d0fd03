"""The buttons that hand a run to Perfetto, and where the trace for it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from dash.development.base_component import Component

PERFETTO = "/perfetto/"
"""Beneath it are the traces of the runs, by id."""


def perfetto_path(id: str) -> str:
    """Where the trace of a run for Perfetto is."""
    return f"{PERFETTO}{quote(id)}.json.gz"


def perfetto_links(id: str) -> Component:
    """A button that hands the run to ui.perfetto.dev, and the file for other ways to open it."""
    from dash import html

    download = html.A(
        "Download for Perfetto", href=perfetto_path(id), className="button", download=""
    )
    return html.Div([perfetto_button(id), download], className="buttons")


def perfetto_button(id: str) -> Component:
    """A button that hands the run to ui.perfetto.dev."""
    from dash import html

    about = f"{id}: all ranks on one clock, with bubbles, memory, and arrows from sends to receives"
    opens = {"data-perfetto": perfetto_path(id), "data-title": id}
    return html.Button("Open in Perfetto", className="button", title=about, **opens)
