"""Formats of documents: one registry, open to packages."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from dpprof.config import format_names as format_names_module
from dpprof.errors import DpprofError
from dpprof.reporters.blocks.cells import View
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.formats import registry
from dpprof.reporters.formats.registry import (
    DocumentFormat,
    document_format,
    format_names,
    format_of_ending,
)

SHOUT = DocumentFormat(lambda document, view: document.title.upper(), (".shout",))
NONSENSE = "no format"


@pytest.fixture
def declared(monkeypatch):
    """What a package declares."""

    def declare(**values: str) -> None:
        found = {
            name: EntryPoint(name, f"{__name__}:{value}", format_names_module.GROUP)
            for name, value in values.items()
        }
        for module in (registry, format_names_module):
            monkeypatch.setattr(module, "declared_formats", lambda: found)

    return declare


def test_a_package_brings_a_format(declared, monkeypatch) -> None:
    declared(shout="SHOUT")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(SHOUT=SHOUT))
    assert format_names() == ("table", "json", "markdown", "html", "shout")
    document = Document("a title", (), (), ())
    found = document_format("shout")
    assert found.text(document, View(False, 80, True)) == "A TITLE"
    assert (found.width(View(False, 80, True)), format_of_ending(".shout")) == (160, "shout")


def test_what_cannot_be_loaded_is_named(declared, monkeypatch) -> None:
    declared(gone="GONE", wrong="NONSENSE")
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(NONSENSE=NONSENSE))
    with pytest.raises(DpprofError, match=r"format 'gone': .*GONE cannot be loaded"):
        document_format("gone")
    with pytest.raises(DpprofError, match=r"format 'wrong': .* is no DocumentFormat"):
        document_format("wrong")


@pytest.mark.parametrize(
    ("ending", "name"),
    [(".md", "markdown"), (".json", "json"), (".txt", "table"), (".html", "html"), (".pdf", "")],
)
def test_endings_pick_the_format(ending: str, name: str) -> None:
    assert format_of_ending(ending) == name
