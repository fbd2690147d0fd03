"""Documents as Markdown, for pull requests and job summaries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dpprof.reporters.blocks.cells import Cell, Section, View, one_line
from dpprof.reporters.blocks.document import Document


def document_text(document: Document, view: View) -> str:
    """Title, answer, tables and lists, warnings."""
    blocks = [f"# {_escape(document.title)}", *([_list(document.about)] if document.about else [])]
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


def _evidence(lines: Iterable[str]) -> list[str]:
    shown = list(lines)
    return ["**What the evidence does not carry**", _list(shown)] if shown else []


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
