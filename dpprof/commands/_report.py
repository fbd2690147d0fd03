"""Writes reports the way every verb that reports does."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dpprof.commands._output import Output
from dpprof.commands._streams import say

if TYPE_CHECKING:
    from dpprof.analysis.diff.model import Diff
    from dpprof.analysis.model import KindReport, Report
    from dpprof.gate.result import GateResult
    from dpprof.reporters.blocks.document import Document

_FILE_WIDTH = 100
_NARROWEST = 60


def write_reports(reports: Sequence[Report], output: Output) -> None:
    """One report, or several side by side with the last, in the format and place of `output`."""
    from dpprof.analysis.report.side_by_side import compare
    from dpprof.reporters import render, render_comparison

    width, unicode = _terminal(output)
    if len(reports) == 1:
        text = render(reports[0], output.format, color=output.color, width=width, unicode=unicode)
    else:
        text = render_comparison(
            compare(reports), output.format, color=output.color, width=width, unicode=unicode
        )
    _write(text, output, unicode=unicode)
    if output.path is not None or output.format == "json":
        _warn_aside(reports)


def report_on_stderr(folder: Path) -> None:
    """Analyze a run and print its report to stderr, for verbs whose stdout is not theirs."""
    from dpprof.analysis.report.analyze import analyze
    from dpprof.commands._config import user_patterns
    from dpprof.reporters import render
    from dpprof.trace.load import load_run

    report = analyze(load_run(folder, patterns=user_patterns()))
    text = render(report, "table", color=False, width=_FILE_WIDTH, unicode=True)
    say(text)


def _warn_aside(reports: Sequence[Report]) -> None:
    """Warnings on stderr too: they are in the result, which nobody may be looking at."""
    for report in reports:
        name = f"{report.name}: " if len(reports) > 1 else ""
        for warning in report.warnings:
            say(f"warning: {name}{warning}")


def write_diff(diff: Diff, output: Output) -> None:
    """What changed between two runs, in the format and place of `output`."""
    from dpprof.reporters.diff.render import render_diff

    width, unicode = _terminal(output)
    text = render_diff(diff, output.format, color=output.color, width=width, unicode=unicode)
    _write(text, output, unicode=unicode)


def write_gate(result: GateResult, output: Output) -> None:
    """A gate's verdict, in the format and place of `output`."""
    from dpprof.reporters.gate.render import render_gate

    width, unicode = _terminal(output)
    text = render_gate(result, output.format, color=output.color, width=width, unicode=unicode)
    _write(text, output, unicode=unicode)


def write_document(document: Document, output: Output) -> None:
    """A document in any format but JSON, in the place of `output`."""
    from dpprof.reporters.blocks.cells import View
    from dpprof.reporters.formats.registry import document_format

    width, unicode = _terminal(output)
    view = View(output.color, width, unicode)
    _write(document_format(output.format).text(document, view), output, unicode=unicode)


def write_kinds(report: KindReport, output: Output) -> None:
    """Which rule gave which activities their kind, in the format and place of `output`."""
    from dpprof.reporters import render_kinds

    width, unicode = _terminal(output)
    text = render_kinds(report, output.format, color=output.color, width=width, unicode=unicode)
    _write(text, output, unicode=unicode)


def _write(text: str, output: Output, *, unicode: bool) -> None:
    """Names of kernels and folders may hold anything; an odd name must not lose the report."""
    output.write(text if unicode else text.encode("ascii", "replace").decode())


def _terminal(output: Output) -> tuple[int, bool]:
    """Characters per line, and whether they may go beyond ASCII."""
    if output.path is not None:
        return output.width or _FILE_WIDTH, True
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    if output.width is not None or not sys.stdout.isatty():
        return output.width or _FILE_WIDTH, unicode
    return max(shutil.get_terminal_size((_FILE_WIDTH, 24)).columns, _NARROWEST), unicode
