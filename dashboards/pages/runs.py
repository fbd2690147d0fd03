"""The page of runs: what is loaded, how it was made, and what the reader has to say about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.dashboards.app.downloads import perfetto_links
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.view.page import Context, Page
from dpprof.reporters.blocks.units import time_unit
from dpprof.reporters.report.sentences import run_words, source_words, step_words

if TYPE_CHECKING:
    from dash.development.base_component import Component


def layout(context: Context) -> list[Component]:
    """A panel for each run, chosen or not."""
    return [_panel(context.library.get(id)) for id in context.library.ids]


def _panel(run: LibraryRun) -> Component:
    from dash import html

    report = run.report
    unit = time_unit(report.step_ns)
    rows = {
        "what": run_words(report),
        "source": source_words(report),
        "steps": step_words(report, unit),
        "activities": f"{run.run.held.count:,}",
        "bubble regions": _regions(run),
    }
    lines = [html.Tr([html.Th(name), html.Td(text)]) for name, text in rows.items()]
    return html.Section(
        [
            html.H2(run.id),
            html.Table(html.Tbody(lines), className="facts"),
            perfetto_links(run.id),
            *[html.P(text, className="note warning") for text in report.warnings],
        ],
        className="panel",
        id={"type": "run", "id": run.id},
        **{"data-testid": f"run-{run.id}"},
    )


def _regions(run: LibraryRun) -> str:
    left_out = run.accounting.left_out
    text = f"{len(run.report.regions):,}"
    if left_out.regions:
        text += f" listed; {left_out.regions:,} shorter ones are not"
    return text


page = Page(
    key="runs",
    title="Runs",
    order=95,
    layout=layout,
    about="What is loaded, how it was made, and warnings about it.",
)
