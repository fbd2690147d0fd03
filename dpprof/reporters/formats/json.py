"""Reports for programs: the JSON contract of ``dpprof analyze --format json``."""

from __future__ import annotations

import msgspec

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.reporters.blocks.cells import View
from dpprof.system.inputs import encode_json


def report_text(report: Report, view: View) -> str:
    """A report as indented JSON; keys as in `dpprof.analysis.model`."""
    return _text(report)


def comparison_text(comparison: Comparison, view: View) -> str:
    """``{"schema_version": 2, "runs": [report, ...]}`` in the given order."""
    return _text(comparison.json_form())


def kinds_text(report: KindReport, view: View) -> str:
    """Kinds with their rules as JSON; keys as in `dpprof.analysis.report.explain_kinds`."""
    return _text(report)


def _text(value: object) -> str:
    return msgspec.json.format(encode_json(value), indent=2).decode()
