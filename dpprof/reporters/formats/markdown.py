"""Reports as Markdown, for pull requests and job summaries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.cells import Cell, Section, View, one_line
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.report.comparison import comparison_sections, run_names
from dpprof.reporters.report.kinds import kind_sections, kind_warnings
from dpprof.reporters.report.longest_bubbles import longest_regions
from dpprof.reporters.report.rank_sections import unit_of
from dpprof.reporters.report.sections import report_sections
from dpprof.reporters.report.sentences import run_words, source_words, step_words

_WIDE = 160  # characters for a table of names, which has no width of its own here


def report_text(report: Report, view: View) -> str:
    """A report as Markdown: headline, tables, longest bubbles, warnings."""
    blocks = [f"# {_escape(report.name)}", _list(_headline(report))]
    blocks += _evidence(texts(report.evidence))
    blocks += [_section(section) for section in report_sections(report)]
    regions = longest_regions(report)
    if regions:
        blocks += ["## Longest bubbles", _list(regions)]
    if rest := others(report.warnings, report.evidence):
        blocks += ["## Warnings", _list(rest)]
    return "\n\n".join(blocks) + "\n"


def comparison_text(comparison: Comparison, view: View) -> str:
    """Runs side by side as Markdown."""
    names = run_names(comparison)
    lines = [
        f"{name}: {run_words(report)}; {source_words(report)}; "
        f"{step_words(report, unit_of(report))}"
        for name, report in zip(names, comparison.reports, strict=True)
    ]
    blocks = ["# Comparison", _list([*lines, f"ratios are to {names[comparison.baseline]}"])]
    blocks += _evidence(
        f"{name}: {text}"
        for name, report in zip(names, comparison.reports, strict=True)
        for text in texts(report.evidence)
    )
    blocks += [_section(section) for section in comparison_sections(comparison)]
    warnings = [
        f"{name}: {warning}"
        for name, report in zip(names, comparison.reports, strict=True)
        for warning in others(report.warnings, report.evidence)
    ]
    if warnings:
        blocks += ["## Warnings", _list(warnings)]
    return "\n\n".join(blocks) + "\n"


def document_text(document: Document, view: View) -> str:
    """Title, answer, tables and lists, warnings."""
    blocks = [f"# {_escape(document.title)}", _list(document.about)]
    blocks += _evidence(document.evidence)
    if document.answer:
        first, *more = document.answer
        blocks += [f"**{_escape(first)}**", *([_list(more)] if more else [])]
    for block in document.blocks:
        if isinstance(block, Section):
            blocks.append(_section(block))
        else:
            blocks += [f"## {_escape(block.title)}", _list(block.lines)]
    if document.warnings:
        blocks += ["## Warnings", _list(document.warnings)]
    return "\n\n".join(blocks) + "\n"


def kinds_text(report: KindReport, view: View) -> str:
    """Rules, the names they matched and the others, as Markdown."""
    blocks = [f"# Kinds of {_escape(report.name)}"]
    blocks += [_section(section) for section in kind_sections(report, _WIDE)]
    if warnings := kind_warnings(report):
        blocks += ["## Warnings", _list(warnings)]
    return "\n\n".join(blocks) + "\n"


def _evidence(lines: Iterable[str]) -> list[str]:
    shown = list(lines)
    return ["**What the evidence does not carry**", _list(shown)] if shown else []


def _headline(report: Report) -> Iterator[str]:
    yield run_words(report)
    yield source_words(report)
    yield step_words(report, unit_of(report))


def _section(section: Section) -> str:
    if not section.rows:
        return f"## {section.title}\n\n{_list(section.notes)}"
    lines = [
        f"## {section.title}",
        "",
        _line([_escape(column) for column in section.columns]),
        _line(_alignments(section)),
        *(_line([_cell(cell) for cell in row]) for row in section.rows),
    ]
    if section.notes:
        lines += ["", _list(section.notes)]
    return "\n".join(lines)


def _alignments(section: Section) -> list[str]:
    text = section.text_columns
    return ["---"] * text + ["---:"] * (len(section.columns) - text)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = f"{cell.text} ({cell.share})" if cell.share else cell.text
    depth = len(text) - len(text.lstrip())
    return "&nbsp;" * depth + _escape(text[depth:])


def _list(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {_escape(line)}" for line in lines)


def _escape(text: str) -> str:
    """Text that is only read: names may hold what Markdown takes for tables, tags or links.

    Addresses in names are shown, but lead nowhere.
    """
    for character in "\\|<*`[]":
        text = text.replace(character, f"\\{character}")
    text = _ADDRESS.sub(lambda found: "".join(f"&#{ord(one)};" for one in found[0]), text)
    return one_line(text)


_ADDRESS = re.compile(r"://|(?<=www)\.|(?<=mailto):|@", re.IGNORECASE)
"""What makes links of bare words in GitHub's and GitLab's Markdown."""
