"""The formats of documents, one entry each; packages may bring more of their own.

A package declares ``[project.entry-points."dpprof.formats"]`` with ``latex = "my_package:LATEX"``,
a `DocumentFormat`; then every verb that reports has ``--format latex``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dpprof.config.format_names import declared_formats, format_names
from dpprof.reporters.blocks.cells import View
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.formats import html, markdown, table
from dpprof.system.packages import load_declared

__all__ = ["DocumentFormat", "document_format", "format_names", "format_of_ending"]

_WIDE = 160  # characters per line where the format has no width of its own


@dataclass(frozen=True)
class DocumentFormat:
    """How a document is written; `endings` are those of files that are in this format.

    Names of kernels are cut to the view's width, or without `has_width` to `_WIDE` characters.
    """

    text: Callable[[Document, View], str]
    endings: tuple[str, ...] = ()
    has_width: bool = False

    def width(self, view: View) -> int:
        """Characters that a line may have."""
        return view.width if self.has_width else _WIDE


_OWN = {
    "table": DocumentFormat(table.document_text, (".txt",), has_width=True),
    "markdown": DocumentFormat(markdown.document_text, (".md",)),
    "html": DocumentFormat(lambda document, view: html.document_page(document), (".html",)),
}


def document_format(name: str) -> DocumentFormat:
    """The format of that name; raises `DpprofError` where a package's cannot be loaded."""
    if name in _OWN:
        return _OWN[name]
    entry = declared_formats()[name]
    return load_declared("format", entry, DocumentFormat, DocumentFormat.__name__)


def format_of_ending(suffix: str) -> str:
    """The format that files with this ending are in; empty where none says so."""
    if suffix == ".json":
        return "json"
    own = [name for name, one in _OWN.items() if suffix in one.endings]
    more = (name for name in declared_formats() if suffix in document_format(name).endings)
    return own[0] if own else next(more, "")
