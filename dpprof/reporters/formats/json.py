"""Reports for programs: the JSON contract of ``dpprof analyze --format json``."""

from __future__ import annotations

from typing import Any

import msgspec

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.reporters.blocks.cells import View
from dpprof.system.inputs import encode_json
from dpprof.tables.devices import device_of, rank_of

_ROWS = {"rank", "ranks", "cause_rank", "waits_for"}


def report_text(report: Report, view: View) -> str:
    """A report as indented JSON; keys as in `dpprof.analysis.model`."""
    return _text(_with_devices(report))


def comparison_text(comparison: Comparison, view: View) -> str:
    """``{"schema_version": 2, "runs": [report, ...]}`` in the given order."""
    form = comparison.json_form()
    return _text(form | {"runs": [_with_devices(report) for report in comparison.reports]})


def kinds_text(report: KindReport, view: View) -> str:
    """Kinds with their rules as JSON; keys as in `dpprof.analysis.report.explain_kinds`."""
    return _text(report)


def _with_devices(report: Report) -> object:
    """The report with rank and device in place of the numbers of rows that stand for both."""
    if all(rank.device is None for rank in report.ranks):
        return report
    return _told_apart(msgspec.to_builtins(report))


def _told_apart(value: Any) -> Any:
    if isinstance(value, list):
        return [_told_apart(one) for one in value]
    if not isinstance(value, dict):
        return value
    told = {name: _told_apart(one) for name, one in value.items()}
    for name in _ROWS & told.keys():
        row = told[name]
        if isinstance(row, list):
            told[name] = sorted({rank_of(one) for one in row if isinstance(one, int)}) or row
        elif isinstance(row, int):
            told[name] = rank_of(row)
            if name == "rank" and device_of(row) is not None:
                told["device"] = device_of(row)
    return told


def _text(value: object) -> str:
    return msgspec.json.format(encode_json(value), indent=2).decode()
