"""Chunks in flight over time, by hand and against counting at every instant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.memory.in_flight import in_flight_curve
from dpprof.schedules.actions import slot_text
from dpprof.schedules.registry import make_schedule
from dpprof.tables.columns import IN_FLIGHT


def slot(text: str, start: int, end: int, **fields: Any) -> dict[str, Any]:
    return {"rank": 0, "slot": text, "start_ns": start, "end_ns": end} | fields


def rows(curve: Any) -> list[tuple[int, int, int, int]]:
    assert list(curve) == list(IN_FLIGHT)
    return list(curve[["step", "at_ns", "direction", "chunks"]].itertuples(index=False, name=None))


def test_a_chunk_is_held_from_its_forward_to_its_backward(make_run) -> None:
    slots = [
        slot("F0.0", 0, 10),
        slot("F1.0", 10, 20),
        slot("F0.1&B1.0", 20, 50),
        slot("I0.0", 50, 60),
        slot("W0.0", 60, 65),
        slot("B0.1", 65, 80),
    ]
    curve = in_flight_curve(make_run([], slots=slots), 0)
    assert rows(curve) == [
        (0, 0, 0, 1),
        (0, 10, 1, 1),
        (0, 20, 0, 2),
        (0, 50, 1, 0),
        (0, 65, 0, 1),
        (0, 80, 0, 0),
    ]


def test_a_chunk_that_comes_as_another_goes_is_one_change(make_run) -> None:
    slots = [slot("F0.0", 0, 10), slot("B0.0", 10, 20), slot("F0.1", 20, 30)]
    assert rows(in_flight_curve(make_run([], slots=slots), 0)) == [(0, 0, 0, 1), (0, 20, 0, 1)]


def test_every_used_step_counts_from_nothing(make_run) -> None:
    slots = [slot("F0.0", 10 * step, 10 * step + 5, step=step) for step in (1, 2, 3)]
    run = make_run([], slots=slots, used_steps=(2, 3))
    assert rows(in_flight_curve(run, 0)) == [(2, 20, 0, 1), (3, 30, 0, 1)]


@pytest.mark.parametrize("slots", [[], [slot("fwd of mb 3", 0, 10)]])
def test_slots_that_say_nothing_give_an_empty_curve(make_run, slots) -> None:
    run = make_run([], slots=[slot("F0.0", 0, 1, rank=1), *slots])
    assert rows(in_flight_curve(run, 0)) == []


@settings(max_examples=40)
@given(
    name=st.sampled_from(["1f1b", "dualpipe", "zb1p", "dualpipev"]),
    rank=st.integers(0, 3),
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=7),
)
def test_against_counting_at_every_instant(make_run, name, rank, lengths) -> None:
    texts = [slot_text(one) for one in make_schedule(name, 4, 8).ranks[rank]]
    slots, now = [], 0
    for number, text in enumerate(texts):
        start = now + number % 2
        now = start + lengths[number % len(lengths)]
        slots.append(slot(text, start, now))
    curve = in_flight_curve(make_run([], slots=slots, places=()), 0)
    for instant in range(now + 1):
        for direction in (0, 1):
            held = 0
            for one in slots:
                for action in one["slot"].split("&"):
                    if action[1:].startswith(f"{direction}."):
                        held += action[0] == "F" and one["start_ns"] <= instant
                        held -= action[0] in "BW" and one["end_ns"] <= instant
            known = curve[(curve.direction == direction) & (curve.at_ns <= instant)].chunks
            assert (0 if known.empty else known.iloc[-1]) == held
