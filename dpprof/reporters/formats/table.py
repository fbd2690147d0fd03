"""Reports for people at a terminal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpprof.analysis.model import Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.cells import Cell, Section, View, one_line
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.report.bars import bars, paints
from dpprof.reporters.report.comparison import comparison_sections, run_names
from dpprof.reporters.report.longest_bubbles import longest_regions
from dpprof.reporters.report.rank_sections import unit_of
from dpprof.reporters.report.sections import report_sections
from dpprof.reporters.report.sentences import path_words, run_words, source_words, step_words

_WIDEST_BAR = 60
_STANDS_OUT = ("EMULATED", "SIMULATED")
_GAP = 2  # blanks between columns


def report_text(report: Report, view: View) -> str:
    """Headline, bars, tables, the longest bubbles in words, warnings last."""
    return _to_text(_report_parts(report, view), view)


def comparison_text(comparison: Comparison, view: View) -> str:
    """Runs side by side; each value with its ratio to the baseline."""
    return _to_text(_comparison_parts(comparison, view), view)


def document_text(document: Document, view: View) -> str:
    """What it is about, the answer, tables and lists, warnings last."""
    return _to_text(_document_parts(document, view), view)


def _document_parts(document: Document, view: View) -> Iterator[Text | Table]:
    yield Text(document.title, style=f"bold {document.style}")
    for line in document.about:
        about = Text(_wrapped(line, view), style="dim")
        about.highlight_words(_STANDS_OUT, style="not dim bold yellow")
        yield about
    yield from _evidence(document.evidence, view)
    yield Text()
    for number, line in enumerate(document.answer):
        yield Text(_wrapped(f"- {line}", view)) if number else Text(_wrapped(line, view), "bold")
    if document.answer:
        yield Text()
    for block in document.blocks:
        if isinstance(block, Section):
            yield from _section(block, view)
        else:
            yield Text(block.title, style="bold")
            yield from (Text(_wrapped(f"- {line}", view)) for line in block.lines)
            yield Text()
    yield from _warnings(document.warnings, view)


def _report_parts(report: Report, view: View) -> Iterator[Text | Table]:
    yield from _headline(report.name, report)
    yield Text(step_words(report, unit_of(report)))
    if path := path_words(report):
        yield Text(path)
    yield from _evidence(texts(report.evidence), view)
    yield Text()
    yield from _bars(report, view)
    for section in report_sections(report):
        yield from _section(section, view)
    regions = longest_regions(report)
    if regions:
        yield Text("Longest bubbles", style="bold")
        yield from (Text(_wrapped(f"- {line}", view)) for line in regions)
        yield Text()
    yield from _warnings(others(report.warnings, report.evidence), view)


def _comparison_parts(comparison: Comparison, view: View) -> Iterator[Text | Table]:
    names = run_names(comparison)
    for name, report in zip(names, comparison.reports, strict=True):
        yield from _headline(name, report)
        yield from _evidence(texts(report.evidence), view)
    yield Text(f"ratios are to {names[comparison.baseline]}", style="dim")
    yield Text()
    for section in comparison_sections(comparison):
        yield from _section(section, view)
    for name, report in zip(names, comparison.reports, strict=True):
        yield from _warnings(
            [f"{name}: {warning}" for warning in others(report.warnings, report.evidence)], view
        )


def _headline(name: str, report: Report) -> Iterator[Text]:
    stands_out = "" if report.source == "captured" else "bold yellow"
    source = (source_words(report), stands_out)
    yield Text.assemble((one_line(name), "bold"), f": {one_line(run_words(report))}; ", source)


def _bars(report: Report, view: View) -> Iterator[Text]:
    name_width = max((len(name) for name, _ in bars(report, 1)), default=0)
    length = min(_WIDEST_BAR, view.width - name_width - len("rank  "))
    for name, parts in bars(report, max(length, 10)):
        line = Text(f"rank {name:<{name_width}} ")
        for paint, count in parts:
            line.append(paint.character(view.unicode) * count, style=paint.style)
        yield line
    if report.ranks and report.per_step:
        legend = Text(" " * len(f"rank {'':<{name_width}} "))
        for paint in paints(report):
            legend.append(f"{paint.character(view.unicode)} {paint.name}  ", style=paint.style)
        legend.rstrip()
        yield legend
        yield Text()


def _section(section: Section, view: View) -> Iterator[Text | Table]:
    yield Text(section.title, style="bold")
    if section.rows:
        yield _table(section, view)
    yield from (Text(note, style="dim") for note in section.notes)
    yield Text()


def _table(section: Section, view: View) -> Table:
    one_line = _width(section) <= view.width
    table = Table(
        box=box.SIMPLE_HEAD if view.unicode else _ASCII_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        header_style="dim",
    )
    for position, column in enumerate(section.columns):
        table.add_column(
            column.replace(" ", "\n"),
            justify="left" if position < section.text_columns else "right",
            vertical="top",
        )
    for row in section.rows:
        table.add_row(*(_cell(cell, one_line=one_line) for cell in row))
    return table


_ASCII_HEAD = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def _cell(cell: Cell, *, one_line: bool) -> Text:
    if not cell.share:
        return Text(cell.text, cell.style)
    return Text.assemble(cell.text, " " if one_line else "\n", (f"{cell.share:>5}", "dim"))


def _width(section: Section) -> int:
    """Characters that a section takes with every cell on one line."""
    total = 0
    for column, title in enumerate(section.columns):
        cells = [_cell(row[column], one_line=True) for row in section.rows]
        words = map(len, title.split(" "))
        total += _GAP + max([*words, *(cell.cell_len for cell in cells)])
    return total - _GAP


def _wrapped(text: str, view: View) -> str:
    """Lines after the first are set in, so that one entry does not look like two."""
    return textwrap.fill(one_line(text), view.width, subsequent_indent="  ", break_on_hyphens=False)


def _evidence(lines: Iterable[str], view: View) -> Iterator[Text]:
    for line in lines:
        text = Text(_wrapped(f"evidence: {line}", view))
        text.stylize("bold red", 0, len("evidence:"))
        yield text


def _warnings(warnings: Iterable[str], view: View) -> Iterator[Text]:
    for warning in warnings:
        text = Text(_wrapped(f"warning: {warning}", view))
        text.stylize("bold yellow", 0, len("warning:"))
        yield text


def _to_text(parts: Iterable[Text | Table], view: View) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        width=view.width,
        force_terminal=view.color,
        color_system="standard" if view.color else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    lines = [line.rstrip() for line in file.getvalue().rstrip().splitlines()]
    return "\n".join(lines) + "\n"
