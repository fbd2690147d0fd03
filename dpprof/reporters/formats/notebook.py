"""A report as an HTML fragment: what a notebook shows for a run. Plain tables, no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from dpprof.analysis.model import Report
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.report.longest_bubbles import longest_regions
from dpprof.reporters.report.rank_sections import unit_of
from dpprof.reporters.report.sections import report_sections
from dpprof.reporters.report.sentences import run_words, source_words, step_words

_LEFT = ' style="text-align:left"'


def report_html(report: Report) -> str:
    """The report in one ``<div>``: headline, tables, longest bubbles, warnings."""
    return f"<div>{''.join(_blocks(report))}</div>"


def _blocks(report: Report) -> Iterator[str]:
    headline = (run_words(report), source_words(report), step_words(report, unit_of(report)))
    yield f"<p><b>{escape(report.name)}</b><br>{'<br>'.join(map(escape, headline))}</p>"
    yield list_html("What the evidence does not carry", texts(report.evidence))
    for section in report_sections(report):
        yield section_html(section)
    yield list_html("Longest bubbles", longest_regions(report))
    yield list_html("Warnings", others(report.warnings, report.evidence))


def section_html(section: Section) -> str:
    """A table with its title and notes."""
    if not section.rows:
        return list_html(section.title, section.notes)
    head = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
    rows = "".join(f"<tr>{_row(row)}</tr>" for row in section.rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<p><b>{escape(section.title)}</b></p>{table}{list_html('', section.notes)}"


def _row(cells: Sequence[Cell]) -> str:
    return "".join(
        f"<td{'' if column else _LEFT}>{_indented(_text(cell))}</td>"
        for column, cell in enumerate(cells)
    )


def _indented(text: str) -> str:
    """Blanks before a text stay."""
    depth = len(text) - len(text.lstrip())
    return "&nbsp;" * depth + escape(text[depth:])


def _text(cell: Cell) -> str:
    return f"{cell.text} ({cell.share})" if cell.share else cell.text


def list_html(title: str, lines: Sequence[str]) -> str:
    """Lines under a title; nothing for no lines."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p><b>{escape(title)}</b></p><ul>{items}</ul>" if title else f"<ul>{items}</ul>"
