"""Simulated runs: events, slots and memory tables are well formed and agree with the step."""

from __future__ import annotations

import pandas as pd
import pytest

from dpprof.costs.load import load_costs
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.schedules.actions import parse_slot
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Placement, Schedule
from dpprof.simulate.activations import in_flight
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import simulated_run
from dpprof.simulate.timing import timing_from_profile
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, STEPS

PROFILE = CostProfile(
    name="test",
    component_ns={
        "F": {"attention": 4, "dispatch": 3, "mlp": 5, "combine": 2},
        "I": {"attention": 4, "dispatch": 3, "mlp": 5, "combine": 2},
        "W": {"attention": 4, "mlp": 5},
    },
    message=MessageCost(bytes=64, bytes_per_second=32e9),
    memory=MemoryCost(
        parameter_bytes=10, gradient_bytes=20, optimizer_bytes=30, activation_bytes=7
    ),
    tokens_per_micro_batch=100,
)
SIZES = {"dualpipe": (4, 10), "dualpipev": (2, 6)}


def example(name):
    return make_schedule(name, *SIZES.get(name, (4, 8)))


def two_ranks():
    ranks = (
        tuple(parse_slot(text) for text in ("F0.0", "B0.0")),
        tuple(parse_slot(text) for text in ("F0.0", "B0.0")),
    )
    return Schedule("two", 1, Placement(((0,), (1,)), (0,)), ranks)


def test_two_ranks_whole():
    profile = CostProfile(
        name="test",
        operation_ns={"F": 10, "B": 20},
        message=MessageCost(bytes=64, bytes_per_second=32e9),
        memory=MemoryCost(parameter_bytes=10, activation_bytes=7),
    )
    run = simulated_run(two_ranks(), profile)
    shown = [
        "rank", "stage", "lane", "start_ns", "end_ns", "kind", "name", "slot", "operation", "part",
        "group", "peer", "bytes", "sequence", "ready_ns",
    ]  # fmt: skip
    assert run.events[shown].astype(object).to_numpy().tolist() == [
        [0, 0, "compute", 0, 10, "compute", "F", "F0.0", "F", "F", "", -1, -1, -1, 0],
        [0, 0, "send >1", 10, 12, "p2p", "send", "F0.0", "F", "F", "0>1", 1, 64, 0, 10],
        [0, 1, "recv <1", 42, 44, "p2p", "recv", "B0.0", "B", "I", "1>0", 1, 64, 0, 42],
        [0, 0, "compute", 44, 64, "compute", "B", "B0.0", "B", "", "", -1, -1, -1, 44],
        [1, 0, "recv <0", 10, 12, "p2p", "recv", "F0.0", "F", "F", "0>1", 0, 64, 0, 10],
        [1, 1, "compute", 12, 22, "compute", "F", "F0.0", "F", "F", "", -1, -1, -1, 12],
        [1, 1, "compute", 22, 42, "compute", "B", "B0.0", "B", "", "", -1, -1, -1, 22],
        [1, 1, "send >0", 42, 44, "p2p", "send", "B0.0", "B", "I", "1>0", 0, 64, 0, 42],
    ]
    assert run.slots.astype(object).to_numpy().tolist() == [
        [0, 0, 0, 10, "F0.0", "F"],
        [0, 0, 44, 64, "B0.0", "B"],
        [1, 0, 12, 22, "F0.0", "F"],
        [1, 0, 22, 42, "B0.0", "B"],
    ]
    assert run.memory.iloc[:, :5].to_numpy().tolist() == [
        [0, 0, 0, 17, -1],
        [0, 0, 64, 10, -1],
        [1, 0, 0, 10, -1],
        [1, 0, 12, 17, -1],
        [1, 0, 42, 10, -1],
    ]
    assert run.steps.to_numpy().tolist() == [[0, 0, 0, 64], [1, 0, 0, 64]]


@pytest.mark.parametrize("name", schedule_names())
def test_tables_have_their_columns(name):
    run = simulated_run(example(name), PROFILE)
    for table, columns in (
        (run.events, EVENTS),
        (run.slots, SLOTS),
        (run.memory, MEMORY),
        (run.steps, STEPS),
    ):
        assert {column: str(kind) for column, kind in table.dtypes.items()} == columns
    assert run.source == "simulated"
    assert run.manifest.tokens_per_step == 100 * run.schedule.micro_batches


@pytest.mark.parametrize("communication", ["eager", "batched"])
@pytest.mark.parametrize("name", schedule_names())
def test_lanes_never_overlap_themselves(name, communication):
    events = simulated_run(example(name), PROFILE, communication=communication).events
    events = events.sort_values(["rank", "lane", "start_ns", "end_ns"])
    same = (events["rank"].diff() == 0) & (
        events["lane"].astype(str) == events["lane"].astype(str).shift()
    )
    assert (events["start_ns"] >= events["end_ns"].shift())[same].all()
    assert (events["end_ns"] > events["start_ns"]).all()


@pytest.mark.parametrize("name", schedule_names())
def test_each_slot_computes_what_its_parts_cost(name):
    run = simulated_run(example(name), PROFILE, layers=3)
    compute = run.events[run.events["kind"] == "compute"]
    length = compute["end_ns"] - compute["start_ns"]
    found = length.groupby([compute["rank"], compute["slot"].astype(str)]).sum()
    part = {"F": 9, "I": 9, "W": 9, "B": 18, "F&B": 27}  # compute of a layer
    expected = {
        (rank, slot): 3 * part[operation]
        for rank, slot, operation in run.slots[["rank", "slot", "operation"]].itertuples(
            index=False
        )
    }
    assert found.to_dict() == expected


@pytest.mark.parametrize("name", schedule_names())
def test_events_lie_in_their_slots_and_messages_follow_them(name):
    run = simulated_run(example(name), PROFILE)
    slots = run.slots.astype({"slot": str}).set_index(["rank", "slot"])
    events = run.events.astype({"slot": str})
    work, sends = events[events["kind"] != "p2p"], events[events["name"] == "send"]
    start, end = (
        slots[column].loc[pd.MultiIndex.from_frame(work[["rank", "slot"]])]
        for column in ("start_ns", "end_ns")
    )
    assert (work["start_ns"].to_numpy() >= start.to_numpy()).all()
    assert (work["end_ns"].to_numpy() <= end.to_numpy()).all()
    made = slots["end_ns"].loc[pd.MultiIndex.from_frame(sends[["rank", "slot"]])]
    assert (sends["start_ns"].to_numpy() >= made.to_numpy()).all()


@pytest.mark.parametrize("name", schedule_names())
def test_sends_and_receives_match(name):
    events = simulated_run(example(name), PROFILE).events
    both = ["group", "sequence", "start_ns", "end_ns", "slot", "direction", "micro_batch", "bytes"]
    sides = [
        events[events["name"] == way].astype({"group": str}).sort_values(["group", "sequence"])
        for way in ("send", "recv")
    ]
    assert len(sides[0]) > 0
    pd.testing.assert_frame_equal(
        sides[0][both].reset_index(drop=True), sides[1][both].reset_index(drop=True)
    )
    assert (sides[0]["peer"].to_numpy() == sides[1]["rank"].to_numpy()).all()
    starts = sides[0].groupby("group")["start_ns"]
    assert starts.apply(lambda values: values.is_monotonic_increasing).all()


@pytest.mark.parametrize(
    ("name", "pp", "peaks"),
    [
        ("1f1b", 4, (4, 3, 2, 1)),
        ("1f1b", 8, (8, 7, 6, 5, 4, 3, 2, 1)),
        ("zb1p", 8, (8,) * 8),
        ("dualpipe", 8, (9,) * 8),
        ("dualpipe", 16, (17,) * 16),
        ("dualpipev", 4, (9,) * 4),
    ],
)
def test_peak_in_flight_and_memory(name, pp, peaks):
    schedule, profile = make_schedule(name, pp, 3 * pp), load_costs("unit")
    changes = in_flight(simulate(schedule, timing_from_profile(profile)))
    assert tuple(changes.groupby("rank")["in_flight"].max()) == peaks
    assert (changes.groupby("rank")["change"].sum() == 0).all()
    memory = profile.memory
    static = memory.parameter_bytes + memory.gradient_bytes + memory.optimizer_bytes
    copies = len(schedule.placement.stages[0])
    expected = [2 * (copies * static + peak * memory.activation_bytes) for peak in peaks]
    curve = simulated_run(schedule, profile).memory
    assert curve.groupby("rank")["allocated_bytes"].max().tolist() == expected
    assert curve.groupby("rank")["at_ns"].is_monotonic_increasing.all()


def test_no_memory_costs_no_curve():
    run = simulated_run(two_ranks(), CostProfile(name="x", operation_ns={"F": 1, "B": 1}))
    assert run.memory.empty
    assert run.places[0].parameter_bytes is None


@pytest.mark.parametrize("name", schedule_names())
def test_every_event_names_its_action_and_stage(name):
    run = simulated_run(example(name), PROFILE)
    shown = ["rank", "peer", "name", "slot", "part", "direction", "micro_batch", "stage"]
    for rank, peer, title, slot, part, direction, micro_batch, stage in (
        run.events[shown].astype({"slot": str}).itertuples(index=False)
    ):
        actions = parse_slot(slot)
        action = actions[0] if part == "F" else actions[-1]
        assert (action.direction, action.micro_batch) == (direction, micro_batch)
        assert (action.operation == "F") == (part == "F")
        maker = peer if title == "recv" else rank
        assert stage == run.schedule.stage(maker, direction)
