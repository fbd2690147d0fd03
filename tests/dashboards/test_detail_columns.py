"""The level of detail against its brute-force twin: every pixel, to the nanosecond."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboards.detail.columns import columns
from dashboards.detail.forest import BRANCH, Pixels, find, make_forest


def forest_of(lanes):
    """A forest of lanes, each a list of (start, end)."""
    offsets = np.concatenate([[0], np.cumsum([len(lane) for lane in lanes])]).astype(np.int64)
    every = np.array([piece for lane in lanes for piece in lane], np.int64).reshape(-1, 2)
    return make_forest(offsets, every[:, 0], every[:, 1])


def brute_force(lanes, pixels):
    """Looks at every piece for every pixel."""
    edges = [
        pixels.start_ns + i * (pixels.end_ns - pixels.start_ns) // pixels.count
        for i in range(pixels.count + 1)
    ]
    first, shown, busy = 0, [], []
    for lane in lanes:
        shown.append([-1] * pixels.count)
        busy.append([0] * pixels.count)
        for pixel in range(pixels.count):
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
    found = columns(forest_of(lanes), np.array(chosen, dtype=np.intp), pixels)
    shown, busy = brute_force(lanes, pixels)
    assert found.pieces.tolist() == [shown[lane] for lane in chosen]
    assert found.busy_ns.tolist() == [busy[lane] for lane in chosen]


def test_a_nanosecond_in_a_long_step_still_shows():
    lanes = [[(5_000_000_000, 5_000_000_001)]]
    found = columns(forest_of(lanes), np.array([0]), Pixels(0, 10_000_000_000, 1000))
    assert np.flatnonzero(found.busy_ns[0]).tolist() == [500]
    assert found.busy_ns[0, 500] == 1
    assert found.pieces[0, 500] == 0
    assert found.share[0, 500] == 1e-7


def test_no_lane_and_empty_lanes():
    pixels = Pixels(0, 10, 5)
    assert columns(forest_of([[]]), np.array([0]), pixels).pieces.tolist() == [[-1] * 5]
    none = columns(forest_of([[(0, 3)]]), np.array([], dtype=np.intp), pixels)
    assert none.pieces.shape == (0, 5)


@given(st.integers(2, 5))
def test_what_is_looked_at_depends_on_the_pixels_and_hardly_on_the_pieces(power):
    """Each level looks at no more than the nodes that cross edges of pixels, and their children."""
    count = 10**power
    lanes = [[(2 * i, 2 * i + 1) for i in range(count)]]
    forest = forest_of(lanes)
    pixels = Pixels(0, 2 * count, 50)
    looked_at = sum(len(found.nodes) for found in find(forest, np.array([0]), pixels))
    assert looked_at <= (pixels.count + 1) * BRANCH * len(forest.levels)


def test_pixels_hold_the_instants_between_their_edges():
    pixels = Pixels(100, 207, 10)
    instants = np.arange(100, 207)
    expected = np.searchsorted(pixels.edges, instants, side="right") - 1
    assert pixels.of(instants).tolist() == expected.tolist()
    assert pixels.edges[0] == 100
    assert pixels.edges[-1] == 207
