"""Reports as text: `render` and `render_comparison` in any of `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.reporters.blocks.cells import View
from dpprof.reporters.formats import json, markdown, table


@dataclass(frozen=True)
class Reporter:
    """A format: how it writes one report, several side by side, and the kinds explained."""

    report: Callable[[Report, View], str]
    comparison: Callable[[Comparison, View], str]
    kinds: Callable[[KindReport, View], str]


_REPORTERS = {
    "table": Reporter(table.report_text, table.comparison_text, table.kinds_text),
    "json": Reporter(json.report_text, json.comparison_text, json.kinds_text),
    "markdown": Reporter(markdown.report_text, markdown.comparison_text, markdown.kinds_text),
}

FORMATS = tuple(_REPORTERS)
"""Names of the formats, the default first."""


def render(
    report: Report, format: str, *, color: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """A report as text in one of `FORMATS`; `width`, `color` and `unicode` matter to tables."""
    return _REPORTERS[format].report(report, View(color, width, unicode))


def render_comparison(
    comparison: Comparison,
    format: str,
    *,
    color: bool = False,
    width: int = 100,
    unicode: bool = True,
) -> str:
    """Several reports side by side as text in one of `FORMATS`."""
    return _REPORTERS[format].comparison(comparison, View(color, width, unicode))


def render_kinds(
    report: KindReport, format: str, *, color: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """Which rule gave which activities their kind, as text in one of `FORMATS`."""
    return _REPORTERS[format].kinds(report, View(color, width, unicode))
