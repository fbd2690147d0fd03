"""Times exact to the nanosecond and rows without overlap, against their definitions."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dpprof.export.chrome import disjoint_rows, microseconds


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**52), max_size=30))
@example([4_441_219_440_124_595])
def test_a_reader_that_cuts_off_gets_the_same_nanosecond(times):
    assert [int(value * 1000.0) for value in _read(times)] == times


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**51), max_size=30))
def test_a_reader_that_rounds_gets_the_same_nanosecond(times):
    assert [round(value * 1000.0) for value in _read(times)] == times


def _read(times):
    return json.loads(msgspec.json.encode(microseconds(np.array(times, dtype=np.int64))))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=25))
def test_spans_of_one_row_never_overlap_and_rows_are_as_few_as_can_be(spans):
    starts = np.array([start for start, _ in spans], dtype=np.int64)
    ends = starts + np.array([length for _, length in spans], dtype=np.int64)
    rows = disjoint_rows(starts, ends)
    for row in set(rows.tolist()):
        chosen = sorted(zip(starts[rows == row], ends[rows == row], strict=True))
        assert all(before[1] <= after[0] for before, after in pairwise(chosen))
    deepest = max((sum((starts <= at) & (at < ends)) for at in range(40)), default=0)
    if (ends > starts).all():
        assert rows.max(initial=-1) + 1 == deepest
