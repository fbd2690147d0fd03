"""Memory peaks and what they are made of."""

from __future__ import annotations

import pandas as pd
import pytest

from dpprof.analysis.figures import MemoryFigures, StageFigures, TotalMemory
from dpprof.analysis.memory.peak_parts import TOGETHER
from dpprof.analysis.memory.peaks import _in_flight
from dpprof.analysis.report.analyze import analyze
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.registry import make_schedule

PLACES = (
    RankPlace(
        rank=0,
        pp_rank=0,
        stages=[0],
        parameter_bytes=100,
        gradient_bytes=100,
        optimizer_bytes=200,
        activation_bytes=50,
    ),
    RankPlace(rank=1, pp_rank=1, stages=[1]),
)
SLOTS = [("F0.0", 0, 10), ("F0.1", 10, 20), ("B0.0", 20, 40), ("B0.1", 40, 60)]


@pytest.fixture
def report(make_run, event):
    curve = [(0, -1, 0, 9_999), (0, 0, 5, 450), (0, 0, 12, 520), (0, 0, 45, 430)]
    run = make_run(
        [event(rank, start, end) for rank in (0, 1) for _, start, end in SLOTS],
        slots=[
            {"rank": 0, "slot": text, "start_ns": start, "end_ns": end, "operation": text[0]}
            for text, start, end in SLOTS
        ],
        memory=[
            {"rank": rank, "step": step, "at_ns": at, "allocated_bytes": size}
            for rank, step, at, size in curve
        ],
        places=PLACES,
        schedule=make_schedule("1f1b", 2, 2),
    )
    return analyze(run)


def test_the_peak_is_taken_apart_and_set_beside_the_prediction(report) -> None:
    assert report.ranks[0].memory == MemoryFigures(
        peak_allocated_bytes=520,
        at_ns=12,
        step=0,
        slot="F0.1",
        in_flight={"0": 2},
        parameter_bytes=100,
        gradient_bytes=100,
        optimizer_bytes=200,
        activation_bytes=120,
        predicted_in_flight=2,
        predicted_bytes=500,
        reasons=[TOGETHER],
    )


def test_what_is_not_known_has_a_reason(report) -> None:
    assert report.ranks[1].memory == MemoryFigures(
        predicted_in_flight=1,
        reasons=[
            "memory: the trace has no memory events of the device; profile with "
            "profile_memory=True, or give a memory snapshot"
        ],
    )


def test_stages_and_total_take_the_largest_peak(report) -> None:
    assert report.stages == [
        StageFigures(stage=0, ranks=[0], peak_allocated_bytes=520, peak_reserved_bytes=None),
        StageFigures(stage=1, ranks=[1], peak_allocated_bytes=None, peak_reserved_bytes=None),
    ]
    assert report.total.memory == TotalMemory(peak_allocated_bytes=520, rank=0)


def test_a_curve_that_begins_late_says_nothing_of_activations(make_run, event) -> None:
    run = make_run(
        [event(0, 0, 10)],
        memory=[{"rank": 0, "at_ns": 1, "allocated_bytes": 7, "reserved_bytes": 64}],
        places=PLACES[:1],
    )
    memory = analyze(run).ranks[0].memory
    assert (memory.peak_allocated_bytes, memory.peak_reserved_bytes) == (7, 64)
    assert (memory.activation_bytes, memory.in_flight, memory.slot) == (None, None, None)
    assert memory.reasons == [
        "activations: the memory curve leaves out what was allocated before it began"
    ]


@pytest.mark.parametrize(
    ("at", "in_flight"), [(0, 1), (9, 1), (10, 2), (39, 2), (40, 1), (59, 1), (60, 0)]
)
def test_a_chunk_is_in_flight_from_its_first_instant_to_before_its_last(
    at: int, in_flight: int
) -> None:
    slots = pd.DataFrame(
        [{"slot": text, "start_ns": start, "end_ns": end} for text, start, end in SLOTS]
    )
    assert _in_flight(slots, at) == {"0": in_flight}
