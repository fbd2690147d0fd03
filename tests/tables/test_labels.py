"""Labels are read back as they were written, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.tables.labels import Label, parse_label

_words = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="="), min_size=1
)
_numbers = st.integers(0, 10**15)


@given(
    st.builds(
        Label,
        kind=_words,
        slot=_words | st.just(""),
        action=_words,
        layer=_numbers,
        bytes=_numbers | st.just(-1),
        group=_words,
    )
)
def test_round_trip(label):
    assert parse_label(str(label)) == label


def test_text_names_only_what_is_known():
    label = Label(kind="dispatch", action="F0.3", layer=0)
    assert str(label) == "dpprof:dispatch action=F0.3 layer=0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aten::mm",
        "dpprof:",
        "dpprof:compute layer=x",
        "dpprof:compute layer=-1",
        "dpprof:compute layer=" + "9" * 40,
        "dpprof:compute colour=red",
        "dpprof:compute layer=1 layer=2",
        "dpprof:compute  layer=1",
        "dpprof:compute layer=\u0661",
    ],
)
def test_damaged_labels_are_not_labels(text):
    assert parse_label(text) is None


@given(st.text())
def test_any_text_is_read_without_a_crash(text):
    label = parse_label("dpprof:" + text)
    assert label is None or parse_label(str(label)) == label
