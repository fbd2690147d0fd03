from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpprof.trace.activities.nesting import innermost, innermost_by_group, is_outermost

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12), st.integers(0, 2)), max_size=15)
POINTS = st.lists(st.tuples(st.integers(-2, 35), st.integers(0, 3)), max_size=10)


def arrays(spans):
    starts = np.array([start for start, _, _ in spans], dtype=np.int64)
    lengths = np.array([length for _, length, _ in spans], dtype=np.int64)
    return starts, starts + lengths, np.array([group for *_, group in spans], dtype=np.int32)


def search(spans, instant, group=None):
    holding = [
        (start, -length, index)
        for index, (start, length, its_group) in enumerate(spans)
        if start <= instant < start + length and group in (None, its_group)
    ]
    return max(holding, default=None)


@given(SPANS, POINTS)
def test_innermost_agrees_with_a_search_through_all(spans, points) -> None:
    starts, ends, _ = arrays(spans)
    instants = np.array([instant for instant, _ in points], dtype=np.int64)
    for found, (instant, _) in zip(innermost(starts, ends, instants), points, strict=True):
        expected = search(spans, instant)
        assert (found >= 0) == (expected is not None)
        if expected is not None:  # of equal spans any may be taken
            assert spans[found][:2] == (expected[0], -expected[1])


@given(SPANS, POINTS)
def test_groups_do_not_see_each_other(spans, points) -> None:
    starts, ends, groups = arrays(spans)
    instants = np.array([instant for instant, _ in points], dtype=np.int64)
    asks = np.array([group for _, group in points], dtype=np.int32)
    result = innermost_by_group((groups, starts, ends), (asks, instants))
    for found, (instant, group) in zip(result, points, strict=True):
        expected = search(spans, instant, group)
        assert (found >= 0) == (expected is not None)
        if expected is not None:
            assert spans[found] == (expected[0], -expected[1], group)


def test_outermost_of_nested_and_flat_spans() -> None:
    groups = np.array([0, 0, 0, 0, 1], dtype=np.int32)
    starts = np.array([0, 1, 5, 5, 1], dtype=np.int64)
    ends = np.array([5, 3, 9, 9, 3], dtype=np.int64)
    assert is_outermost(groups, starts, ends).tolist() == [True, False, True, False, True]
