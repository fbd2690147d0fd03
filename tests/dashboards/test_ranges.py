"""Sets of numbers as short text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.view.ranges import ranges_text, read_ranges


@given(st.sets(st.integers(0, 99)))
def test_round_trip(numbers):
    assert read_ranges(ranges_text(tuple(numbers)), 100) == tuple(sorted(numbers))


def test_neighbours_are_a_range():
    assert ranges_text([7, 0, 1, 2, 2, 9, 10]) == "0-2,7,9-10"
    assert ranges_text([]) == ""


@pytest.mark.parametrize(
    "text", ["a", "1-", "-1", "3-1", "100", "0-100", "1,,2", "1.5", "٣", "9" * 12]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="numbers"):
        read_ranges(text, 100)
