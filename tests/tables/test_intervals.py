"""Interval arithmetic beside sets of single nanoseconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.tables.intervals import (
    Intervals,
    all_edges,
    clip,
    first_come,
    index_at,
    intersect,
    intersection_length,
    length_before,
    make_intervals,
    subtract,
    sweep,
    total_length,
    union,
)

pairs = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=8)


def build(spans: list[tuple[int, int]]) -> Intervals:
    return make_intervals([start for start, _ in spans], [start + size for start, size in spans])


def instants(intervals: Intervals) -> set[int]:
    ranges = (range(start, end) for start, end in zip(*intervals, strict=True))
    return {instant for span in ranges for instant in span}


def assert_union_of(result: Intervals, expected: set[int]) -> None:
    assert instants(result) == expected
    assert (result.ends > result.starts).all()
    assert (result.starts[1:] > result.ends[:-1]).all()


def test_union_joins_what_touches() -> None:
    result = union(build([(5, 2), (0, 3), (3, 1), (9, 0)]))
    assert [part.tolist() for part in result] == [[0, 5], [4, 7]]


def test_nothing_gives_nothing() -> None:
    nothing = build([])
    for result in (union(nothing), union(), intersect(nothing, nothing), clip(nothing, 0, 9)):
        assert [part.tolist() for part in result] == [[], []]
    assert index_at(nothing, np.array([3])).tolist() == [-1]


@settings(deadline=None)
@given(pairs, pairs)
def test_set_operations_agree_with_sets_of_instants(one: list, other: list) -> None:
    first, second = build(one), build(other)
    assert_union_of(union(first, second), instants(first) | instants(second))
    assert_union_of(intersect(first, second), instants(first) & instants(second))
    assert_union_of(subtract(first, second), instants(first) - instants(second))
    assert intersection_length(first, second) == len(instants(first) & instants(second))
    assert total_length(union(first)) == len(instants(first))


@settings(deadline=None)
@given(pairs, st.integers(0, 20), st.integers(0, 20))
def test_clip_keeps_the_instants_inside(spans: list, start: int, size: int) -> None:
    inside = set(range(start, start + size))
    assert instants(clip(build(spans), start, start + size)) == instants(build(spans)) & inside


@settings(deadline=None)
@given(pairs)
def test_index_at_finds_the_interval(spans: list) -> None:
    joined = union(build(spans))
    found = index_at(joined, np.arange(50))
    for instant, index in enumerate(found.tolist()):
        if index < 0:
            assert instant not in instants(joined)
        else:
            assert joined.starts[index] <= instant < joined.ends[index]


@settings(deadline=None)
@given(st.lists(pairs, max_size=3))
def test_sweep_says_which_layers_cover_each_instant(many: list) -> None:
    layers = [union(build(spans)) for spans in many]
    edges = all_edges(5, 40, layers)
    covered = sweep(edges, layers)
    assert edges[0] == 5
    assert edges[-1] == 40
    for column, (start, end) in enumerate(pairwise(edges)):
        for row, layer in enumerate(layers):
            inside = set(range(start, end)) <= instants(layer)
            assert covered[row, column] == inside == bool(set(range(start, end)) & instants(layer))


@settings(deadline=None)
@given(pairs)
def test_first_come_gives_each_instant_to_the_interval_that_began_first(spans: list) -> None:
    source = build(spans)
    pieces, owner = first_come(source)
    assert len(instants(pieces)) == total_length(pieces)
    assert instants(pieces) == instants(source)
    for start, end, index in zip(*pieces, owner, strict=True):
        for instant in range(start, end):
            holders = np.flatnonzero((source.starts <= instant) & (source.ends > instant))
            assert source.starts[index] == source.starts[holders].min()


@given(pairs)
def test_length_before_counts_the_instants_before(spans: list) -> None:
    whole = union(build(spans))
    before = length_before(whole, np.arange(-2, 50))
    assert before.tolist() == [
        len([one for one in instants(whole) if one < instant]) for instant in range(-2, 50)
    ]
