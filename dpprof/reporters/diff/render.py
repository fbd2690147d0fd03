"""A diff as a document: the answer, then the tables that it adds up from."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dpprof.analysis.diff.model import Diff
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.cells import Section, View
from dpprof.reporters.blocks.document import Document, Listing
from dpprof.reporters.diff.contributors import Carriers
from dpprof.reporters.diff.memory_and_theory import memory_section, theory_section
from dpprof.reporters.diff.sections import Changes
from dpprof.reporters.diff.sentences import answer, differs_lines, side_words
from dpprof.reporters.formats.registry import document_format, format_names
from dpprof.system.inputs import encode_json

_MOST_LINES = 15


def diff_document(diff: Diff, width: int) -> Document:
    """The document; names of kernels are cut to what fits into `width` characters."""
    sides = (diff.base, diff.new)
    evidence = [f"{side.name}: {text}" for side in sides for text in texts(side.evidence)]
    warnings = [
        f"{side.name}: {warning}"
        for side in sides
        for warning in others(side.warnings, side.evidence)
    ]
    return Document(
        title=f"{diff.base.name} -> {diff.new.name}",
        about=(side_words("BASE", diff.base), side_words("NEW", diff.new), *diff.notes),
        answer=tuple(answer(diff)),
        blocks=tuple(_blocks(diff, width)),
        evidence=tuple(dict.fromkeys(evidence)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _blocks(diff: Diff, width: int) -> Iterator[Section | Listing]:
    """In reading order; what has nothing to say is left out."""
    what, who = Changes(diff, width), Carriers(diff, width)
    sections = (
        what.step(),
        what.communication(),
        what.work(),
        who.ranks(),
        who.stages(),
        who.operations(),
        who.slots(),
        who.kernels(),
        what.path(),
        memory_section(diff),
        theory_section(diff),
    )
    yield from (section for section in sections if section.rows)
    if diff.differs:
        lines = differs_lines(diff)
        more = len(lines) - _MOST_LINES
        left_out = [f"... and {more} more; --format json has them all"] if more > 0 else []
        yield Listing("Not the same", (*lines[:_MOST_LINES], *left_out))


DIFF_FORMATS = format_names()
"""Names of the formats, the default first."""


def render_diff(
    diff: Diff, format: str, *, color: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """A diff as text in one of `DIFF_FORMATS`; `width`, `color` and `unicode` matter to tables."""
    view = View(color, width, unicode)
    if format == "json":
        return msgspec.json.format(encode_json(diff), indent=2).decode()
    found = document_format(format)
    return found.text(diff_document(diff, found.width(view)), view)
