"""Names from traces and folders in reports: one line, and no command to a CI system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.reporters.blocks.cells import Cell, Section, View, one_line
from dpprof.reporters.blocks.document import Document, Listing
from dpprof.reporters.formats import markdown, table

EVIL = "h1\n::error title=x::y \u202e\x9b31m\x1b[31m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at::native::CatArray", "at::native::CatArray"),
        ("dualpipe, 2 µs", "dualpipe, 2 µs"),
        ("a\nb\tc\r", "a b c "),
        ("::error::pwn", ": :error::pwn"),
        ("  ::error::pwn", "  : :error::pwn"),
        ("##[error]x", "# #[error]x"),
        (EVIL, "h1 : :error title=x::y ??31m?[31m"),
    ],
)
def test_a_name_is_one_line_and_no_command(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text(max_size=30))
def test_any_text_is_printable_afterwards_and_stays_so(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert one_line(shown) == shown
    assert not shown.lstrip().startswith("::e")


@pytest.mark.parametrize("width", [40, 200])
def test_no_line_of_a_report_is_a_command(width: int) -> None:
    document = Document(
        title=EVIL,
        about=(EVIL,),
        answer=(EVIL, EVIL),
        blocks=(
            Section(EVIL, ("name", "value"), ((Cell("::error::pwn"), Cell(EVIL)),), (EVIL,)),
            Listing(EVIL, (EVIL,)),
        ),
        warnings=(EVIL,),
    )
    view = View(color=False, width=width, unicode=True)
    for text in (table.document_text(document, view), markdown.document_text(document, view)):
        assert not [line for line in text.splitlines() if line.strip().startswith("::")]
        assert not set(text) & set("\u202e\x9b\x1b")
