"""A pipeline rank that computes more than the others is named; noise, and what is once, is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dpprof.analysis.observations import Finding, Ideal, SlowerRank
from dpprof.analysis.slower_ranks import slower_ranks
from dpprof.reporters.blocks.slower_ranks import slower_notes
from dpprof.reporters.blocks.units import time_unit
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import slot_operation, slot_text
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_measured
from tests.conftest import build_run

MS = 1_000_000
TAKES = {"F": 10, "B": 20, "I": 10, "W": 10, "F&B": 30}


def found(
    change=lambda rank, step, slot: 1.0, *, name="1f1b", pp=4, steps=5, noise=0.0, waits=0, dp=1
) -> list[SlowerRank]:
    """`change` is the factor of what a slot computes; every slot also waits `waits` ms."""
    schedule = make_schedule(name, pp, 8)
    random = np.random.default_rng(7)
    places = [
        RankPlace(rank=pp * at + rank, pp_rank=rank) for at in range(dp) for rank in range(pp)
    ]
    slots, lengths = {}, {}
    for place in places:
        rows = [
            (step, slot_text(slot), slot_operation(slot), change(place.pp_rank, step, slot))
            for step in range(steps)
            for slot in schedule.ranks[place.pp_rank]
        ]
        table = pd.DataFrame(rows, columns=["step", "slot", "operation", "factor"])
        scatter = 1 + noise * random.standard_normal(len(table))
        compute = table["factor"] * table["operation"].map(TAKES) * MS * scatter
        slots[place.rank] = table[["step", "slot"]].assign(compute=compute.round())
        chunks = compute.groupby(table["operation"]).median() + waits * MS
        lengths[place.pp_rank] = {str(key): round(value) for key, value in chunks.items()}
    timing = timing_from_measured(
        {(rank, key): ns for rank, own in lengths.items() for key, ns in own.items()}
    )
    ideal = Ideal(
        steps=steps,
        window_ns=simulate(schedule, timing).makespan_ns * steps,
        bubble_ns=0,
        closed_form_ns=None,
        closed_form="",
        note="",
        chunk_ns=[lengths[rank] for rank in range(pp)],
        ranks=[],
    )
    run = build_run([], places=places, schedule=schedule, used_steps=tuple(range(steps)))
    return slower_ranks(run, slots, ideal)


def last_stage(rank, step, slot):
    return 1.2 if rank == 3 else 1.0


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(("waits", "dp"), [(0, 1), (3, 2)])
def test_a_heavier_last_stage_is_named_with_what_it_costs(steps, waits, dp):
    """1F1B: the last rank never idles amid the step, so its work is the step's: 8 (2 + 4) ms."""
    assert found(last_stage, steps=steps, waits=waits, dp=dp) == [
        SlowerRank(
            pp_rank=3,
            stages=[3],
            compute_ns=288 * MS,
            others_ns=240 * MS,
            excess_ns=48 * MS,
            excess_by_operation_ns={"B": 32 * MS, "F": 16 * MS},
            cost_ns=48 * MS,
        )
    ]


def test_what_of_it_is_forward_adds_up():
    slower = found(lambda rank, step, slot: 1.6 if rank == 0 and slot_text(slot)[0] == "F" else 1.0)
    assert [one.excess_by_operation_ns for one in slower] == [{"B": 0, "F": 48 * MS}]


def test_both_ends_of_a_pipeline_may_be_slower():
    slower = found(lambda rank, step, slot: {0: 1.1, 7: 1.2}.get(rank, 1.0), pp=8)
    assert [(one.pp_rank, one.excess_ns) for one in slower] == [(7, 48 * MS), (0, 24 * MS)]


@pytest.mark.parametrize("name", ["dualpipe", "zb1p", "hanayo", "interleaved-1f1b", "zbv"])
def test_in_every_schedule_the_slow_rank_alone_is_named(name):
    slower = found(last_stage, name=name, noise=0.02)
    assert [one.pp_rank for one in slower] == [3]
    assert slower[0].excess_ns == pytest.approx(0.2 * slower[0].others_ns, rel=0.05)
    assert slower[0].cost_ns > 0


@pytest.mark.parametrize("name", ["1f1b", "dualpipe", "zb1p", "zbv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda rank, step, slot: 1.0,
        lambda rank, step, slot: 1.04 if rank == 3 else 1.0,
        lambda rank, step, slot: 9.0 if (rank, step, slot_text(slot)) == (3, 2, "F0.1") else 1.0,
        lambda rank, step, slot: 9.0 if (rank, slot_text(slot)) == (3, "F0.1") else 1.0,
        lambda rank, step, slot: 1.5 if rank == 3 and step in (1, 2, 3) else 1.0,
    ],
    ids=["even", "a little", "one slot once", "one slot always", "three steps of five"],
)
def test_nothing_else_names_a_rank(name, change):
    assert found(change, name=name) == []


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_names_nobody(noise):
    assert [found(noise=noise, pp=8, steps=steps) for steps in (1, 3)] == [[], []]


def test_where_half_of_the_ranks_take_more_none_stands_apart():
    assert found(lambda rank, *_: 1 + 0.2 * (rank % 2), pp=8) == []


def test_of_two_ranks_the_heavier_is_named():
    assert [one.pp_rank for one in found(lambda rank, *_: 1 + 0.2 * rank, pp=2)] == [1]


def test_a_rank_that_a_finding_names_is_not_named_twice():
    slower = found(last_stage)
    unit = time_unit(100 * MS)
    assert list(slower_notes(slower, [], unit)) == [
        "pipeline rank 3 (stage 3) computes 288.00 ms a step, 48.00 ms (20.0%) above the median "
        "of the others: B +32.00, F +16.00; with slots like theirs the ideal step would be "
        "48.00 ms shorter"
    ]
    known = {"stages": [3], "slots": [], "gain_ns": 1, "share": 0.1, "knob": "", "text": ""}
    finding = Finding(what="slow rank", ranks=[3], confidence="high", **known)
    assert list(slower_notes(slower, [finding], unit)) == []
