"""Reports as text: `render` and `render_comparison` in any of `FORMATS`."""

from __future__ import annotations

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.reporters.blocks.cells import View
from dpprof.reporters.formats import json, table
from dpprof.reporters.formats.registry import document_format, format_names
from dpprof.reporters.report.documents import (
    comparison_document,
    kinds_document,
    report_document,
)

FORMATS = format_names()
"""Names of the formats, the default first."""


def render(
    report: Report, format: str, *, color: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """A report as text in one of `FORMATS`; `width`, `color` and `unicode` matter to tables."""
    view = View(color, width, unicode)
    if format == "json":
        return json.report_text(report, view)
    if format == "table":  # which draws bars, too
        return table.report_text(report, view)
    return document_format(format).text(report_document(report), view)


def render_comparison(
    comparison: Comparison,
    format: str,
    *,
    color: bool = False,
    width: int = 100,
    unicode: bool = True,
) -> str:
    """Several reports side by side as text in one of `FORMATS`."""
    view = View(color, width, unicode)
    if format == "json":
        return json.comparison_text(comparison, view)
    if format == "table":  # whose headlines are coloured
        return table.comparison_text(comparison, view)
    return document_format(format).text(comparison_document(comparison), view)


def render_kinds(
    report: KindReport, format: str, *, color: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """Which rule gave which activities their kind, as text in one of `FORMATS`."""
    view = View(color, width, unicode)
    if format == "json":
        return json.kinds_text(report, view)
    found = document_format(format)
    return found.text(kinds_document(report, found.width(view)), view)
