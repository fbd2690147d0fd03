"""Names of runs, with how they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.dashboards.data.library import IDEAL, LibraryRun

if TYPE_CHECKING:
    from dash.development.base_component import Component


def run_name(id: str) -> str:
    """What people call the run with that id."""
    return f"ideal of {id.removesuffix(IDEAL)}" if id.endswith(IDEAL) else id


def badge(run: LibraryRun) -> Component:
    """The id of a run with the word captured, emulated or simulated."""
    from dash import html

    return html.Span(
        [html.B(run_name(run.id)), html.Span(run.source.upper(), className=f"source {run.source}")],
        className="badge",
        title=run_title(run),
    )


def run_title(run: LibraryRun) -> str:
    """Schedule, sizes and source of a run in one line."""
    from dpprof.reporters.report.sentences import run_words, source_words

    return f"{run_words(run.report)}; {source_words(run.report)}"
