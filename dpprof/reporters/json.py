"""Reports for programs: the JSON contract of ``dpprof analyze --format json``."""

from __future__ import annotations

import msgspec

from dpprof.analysis.compare import Comparison
from dpprof.analysis.figures import Report
from dpprof.analysis.kind_figures import KindReport
from dpprof.reporters.content import View


def report_text(report: Report, view: View) -> str:
    """A report as indented JSON; keys as in `dpprof.analysis.figures`."""
    return _text(report)


def comparison_text(comparison: Comparison, view: View) -> str:
    """``{"schema_version": 1, "runs": [report, ...]}`` in the given order."""
    return _text(comparison.json_form())


def kinds_text(report: KindReport, view: View) -> str:
    """Kinds with their rules as JSON; keys as in `dpprof.analysis.explain`."""
    return _text(report)


def _text(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
