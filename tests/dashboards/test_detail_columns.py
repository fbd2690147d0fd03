"""The level of detail against its brute-force twin: every pixel, to the nanosecond."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.detail.longest import LongestActivities
from dpprof.dashboards.detail.pixel_columns import Lanes, Pixels, columns


def lanes_of(lanes):
    """Lanes, each given as a list of (start, end)."""
    offsets = np.concatenate([[0], np.cumsum([len(lane) for lane in lanes])]).astype(np.int64)
    every = np.array([piece for lane in lanes for piece in lane], np.int64).reshape(-1, 2)
    return Lanes.of(offsets, every[:, 0], every[:, 1])


def brute_force(lanes, pixels):
    """Looks at every piece for every pixel."""
    edges = [
        pixels.start_ns + i * (pixels.end_ns - pixels.start_ns) // pixels.number
        for i in range(pixels.number + 1)
    ]
    first, shown, busy = 0, [], []
    for lane in lanes:
        shown.append([-1] * pixels.number)
        busy.append([0] * pixels.number)
        for pixel in range(pixels.number):
            best = 0
            for number, (start, end) in enumerate(lane):
                inside = min(end, edges[pixel + 1]) - max(start, edges[pixel])
                if inside > 0:
                    busy[-1][pixel] += inside
                if inside > best:
                    best, shown[-1][pixel] = inside, first + number
        first += len(lane)
    return shown, busy


@st.composite
def some_lanes(draw):
    def lane():
        steps = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=40))
        pieces, now = [], draw(st.integers(0, 20))
        for gap, length in steps:
            pieces.append((now + gap, now + gap + length))
            now += gap + length
        return pieces

    return [lane() for _ in range(draw(st.integers(1, 4)))]


@given(some_lanes(), st.integers(0, 150), st.integers(1, 200), st.integers(1, 30), st.data())
def test_every_pixel_is_as_if_all_pieces_had_been_looked_at(lanes, start, length, count, data):
    pixels = Pixels(start, start + length, min(count, length))
    chosen = data.draw(st.permutations(range(len(lanes))))[: data.draw(st.integers(1, len(lanes)))]
    found = columns(lanes_of(lanes), np.array(chosen, dtype=np.intp), pixels)
    shown, busy = brute_force(lanes, pixels)
    assert found.pieces.tolist() == [shown[lane] for lane in chosen]
    assert found.busy_ns.tolist() == [busy[lane] for lane in chosen]


def test_a_nanosecond_in_a_long_step_still_shows():
    lanes = [[(5_000_000_000, 5_000_000_001)]]
    found = columns(lanes_of(lanes), np.array([0]), Pixels(0, 10_000_000_000, 1000))
    assert np.flatnonzero(found.busy_ns[0]).tolist() == [500]
    assert found.busy_ns[0, 500] == 1
    assert found.pieces[0, 500] == 0
    assert found.share[0, 500] == 1e-7


def test_no_lane_and_empty_lanes():
    pixels = Pixels(0, 10, 5)
    assert columns(lanes_of([[]]), np.array([0]), pixels).pieces.tolist() == [[-1] * 5]
    none = columns(lanes_of([[(0, 3)]]), np.array([], dtype=np.intp), pixels)
    assert none.pieces.shape == (0, 5)


def test_pieces_that_touch_a_range():
    lanes = lanes_of([[(0, 5), (5, 9)], [(0, 3), (4, 6), (8, 9)]])
    assert lanes.within(1, 3, 8) == (3, 4)
    assert lanes.within(1, 2, 9) == (2, 5)
    assert lanes.within(0, 9, 20) == (2, 2)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.data())
def test_the_longest_of_any_neighbours_is_the_first_of_the_longest(lengths, data):
    positions = st.integers(0, len(lengths) - 1)
    pairs = data.draw(st.lists(st.tuples(positions, positions), min_size=1, max_size=20))
    ranges = [(min(pair), max(pair) + 1) for pair in pairs]
    longest = LongestActivities.of(np.array(lengths, np.int64))
    found = longest.within(*(np.array(side, np.int64) for side in zip(*ranges, strict=True)))
    expected = [first + int(np.argmax(lengths[first:last])) for first, last in ranges]
    assert found.tolist() == expected
