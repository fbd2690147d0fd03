"""Memory curves: thinned without losing a peak, and taken apart so that the parts add up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.data.memory_curves import (
    EVERYTHING,
    MOST_POINTS,
    UNTOLD,
    rank_curve,
    thinned,
    whole_span,
)
from dpprof.runs.manifest import RankPlace

STATIC = {"parameter_bytes": 10, "gradient_bytes": 20, "optimizer_bytes": 30}


@given(
    values=st.lists(st.integers(-50, 50), max_size=400),
    most=st.sampled_from([4, 8, 40, 100]),
)
def test_thinning_keeps_every_extreme_of_every_part(values: list[int], most: int) -> None:
    array = np.array(values, dtype=np.int64)
    kept = thinned(array, most)
    assert len(kept) <= most
    assert kept.tolist() == sorted(set(kept.tolist()))
    if len(values) <= most:
        assert kept.tolist() == list(range(len(values)))
        return
    assert {0, len(values) - 1} <= set(kept.tolist())
    edges = np.linspace(0, len(values), most // 4 + 1).astype(int)
    for low, high in pairwise(edges):
        own = [values[i] for i in kept if low <= i < high]
        assert (min(own), max(own)) == (min(values[low:high]), max(values[low:high]))


def changes(*pairs: tuple[int, int], **fields: int) -> list[dict[str, Any]]:
    unknown = dict.fromkeys(
        ["parameter_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes"], -1
    )
    unknown |= {"communication_bytes": -1}
    return [
        unknown | {"rank": 0, "at_ns": at, "allocated_bytes": size} | fields for at, size in pairs
    ]


@pytest.fixture(scope="session")
def curve(make_run, event):
    """``curve(memory, span, slots=..., **place)``: that of rank 0 in step 0, from 100 to 200."""

    def make(memory: Any, span: tuple[int, int] = (0, 100), slots: Any = (), **place: Any) -> Any:
        run = make_run(
            [event(0, 100, 200)],
            memory=memory,
            slots=slots,
            places=[RankPlace(rank=0, pp_rank=0, **place)],
            name="one",
        )
        library = Library.of_runs([run])
        found = library.get("one")
        return rank_curve(library, found, 0, found.report.ranks[0], span)

    return make


def test_times_count_from_the_start_of_the_step(curve: Any) -> None:
    found = curve(changes((110, 70), (130, 90), (150, 65)), **STATIC)
    assert found.at_ns.tolist() == [10, 30, 50, 100]
    assert found.allocated.tolist() == [70, 90, 65, 65]
    assert found.peak == (30, 90)
    assert {name: band.tolist() for name, band in found.parts.items()} == {
        "parameters": [10, 10, 10, 10],
        "gradients": [20, 20, 20, 20],
        "optimizer state": [30, 30, 30, 30],
        UNTOLD: [10, 30, 5, 5],
    }


def test_what_was_allocated_before_the_range_is_there_when_it_begins(curve: Any) -> None:
    found = curve(changes((110, 70), (130, 90), (150, 65)), span=(20, 40))
    assert (found.at_ns.tolist(), found.allocated.tolist()) == (
        [20, 30, 40],
        [70, 90, 90],
    )
    assert found.changes == 2
    assert list(found.parts) == [EVERYTHING]


def test_a_snapshot_tells_activations_apart(curve: Any) -> None:
    memory = changes((110, 70), (120, 75), activation_bytes=8)
    found = curve(memory, **STATIC)
    assert {name: band.tolist() for name, band in found.parts.items()} == {
        "parameters": [10, 10, 10],
        "gradients": [20, 20, 20],
        "optimizer state": [30, 30, 30],
        "activations": [8, 8, 8],
        "the rest": [2, 7, 7],
    }


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_the_parts_add_up_whatever_is_allocated(curve: Any, sizes: list[int]) -> None:
    found = curve(changes(*[(100 + i, size) for i, size in enumerate(sizes)]), **STATIC)
    together = sum(found.parts.values()) if found.parts else np.zeros(len(sizes) + 1)
    assert list(together) == [*sizes, sizes[-1]] == found.allocated.tolist()


def test_a_long_curve_is_thinned_and_says_so(curve: Any) -> None:
    count = MOST_POINTS + 1000
    sizes = [(100 + i, 77 if i == 1234 else 5) for i in range(count)]
    found = curve(changes(*sizes), span=(0, count))
    assert found.changes == count
    assert len(found.at_ns) <= MOST_POINTS + 1
    assert found.peak == (1234, 77)


def test_chunks_in_flight_have_the_same_clock(curve: Any) -> None:
    slots = [
        {"rank": 0, "slot": text, "start_ns": start, "end_ns": end}
        for text, start, end in [("F0.0", 110, 120), ("F1.0", 120, 130), ("B0.0", 130, 150)]
    ]
    found = curve(changes((110, 70)), slots=slots)
    assert found.in_flight_at.tolist() == [10, 20, 50, 100]
    assert {one: chunks.tolist() for one, chunks in found.in_flight.items()} == {
        0: [1, 1, 0, 0],
        1: [0, 1, 1, 1],
    }
    held = [found.chunks_at(at) for at in (0, 10, 49, 50)]
    assert held == [{0: 0, 1: 0}, {0: 1, 1: 0}, {0: 1, 1: 1}, {0: 0, 1: 1}]


@pytest.mark.parametrize(
    ("memory", "span"),
    [
        ([], (0, 100)),
        ([(150, 5)], (0, 100)),
        ([(95, 5), (205, 5)], (-5, 106)),
        ([(95, 5), (5000, 4)], (-5, 100)),
        ([(20, 5), (150, 4), (900, 3)], (-80, 100)),
        ([(150, 4), (900, 5)], (0, 801)),
    ],
)
def test_the_whole_span_is_the_window_with_what_is_near_and_the_peak(
    make_run, event, memory: Any, span: tuple[int, int]
) -> None:
    run = make_run([event(0, 100, 200)], memory=changes(*memory), name="one")
    assert whole_span(Library.of_runs([run]).get("one"), 0) == span


def test_no_memory_is_an_empty_curve(curve: Any) -> None:
    found = curve([])
    assert (found.peak, found.changes, found.parts, found.in_flight) == (None, 0, {}, {})
