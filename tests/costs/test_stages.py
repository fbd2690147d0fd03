"""Costs by stage: a model whose layers differ, cut into stages, timed, held and measured again."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.costs.faults import read_fault, with_faults
from dpprof.costs.load import costs_to_json, load_costs, read_costs
from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost, MessageCost
from dpprof.costs.stages import model_layers, stage_chunks, stage_layers, stage_memory
from dpprof.errors import DpprofError
from dpprof.schedules.components import component_program
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.activations import peak_bytes
from dpprof.simulate.engine import simulate
from dpprof.simulate.layers import fitting_costs
from dpprof.simulate.run import simulated_run
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.timing import slot_template, timing_from_profile

PLAIN = msgspec.structs.replace(load_costs("deepseek-v3"), layers=1)
DENSE = LayerCost(
    name="dense",
    count=2,
    component_ns={
        "F": {"attention": 5_000_000, "dispatch": 0, "mlp": 9_000_000, "combine": 0},
        "I": {"dispatch": 0, "mlp": 10_000_000, "combine": 0},
        "W": {"mlp": 9_000_000},
    },
    memory=MemoryCost(parameter_bytes=10**8, activation_bytes=3 * 10**8),
)
HEAD = LayerCost(
    name="with head",
    component_ns={
        "F": {"output": 6_000_000},
        "I": {"output": 7_000_000},
        "W": {"output": 5_000_000},
    },
    memory=MemoryCost(parameter_bytes=2 * 10**9, activation_bytes=7 * 10**8),
)
UNEVEN = msgspec.structs.replace(
    PLAIN,
    model=[DENSE, LayerCost(count=5), HEAD],
    stage_layers=[2, 2, 3, 1],
)


def test_a_model_is_cut_as_it_says_or_into_equal_parts():
    assert model_layers(UNEVEN, 4) == 8
    assert stage_layers(UNEVEN, 4) == (2, 2, 3, 1)
    assert stage_layers(UNEVEN, 8) == (1,) * 8
    assert [layer.name for chunk in stage_chunks(UNEVEN, 4) for layer in chunk] == [
        *("dense", "dense"), *[""] * 5, "with head",
    ]  # fmt: skip
    assert stage_layers(PLAIN, 3, 5) == (5, 5, 5)
    with pytest.raises(DpprofError, match="3 stages are no cut of the model's 8 layers"):
        stage_layers(UNEVEN, 3)
    with pytest.raises(DpprofError, match="4 stages of 3 are no cut"):
        stage_layers(UNEVEN, 4, 3)


@pytest.mark.parametrize("name", ["1f1b", "zb1p", "dualpipe", "dualpipev", "interleaved-1f1b"])
def test_a_model_whose_layers_are_alike_is_the_plain_one(name):
    schedule = make_schedule(name, 4, 8)
    stages = schedule.placement.stage_count
    listed = msgspec.structs.replace(PLAIN, model=[LayerCost(count=2 * stages)])
    plain = simulate(schedule, timing_from_profile(PLAIN, 2))
    step = simulate(schedule, schedule_timing(schedule, listed))
    assert step.makespan_ns == plain.makespan_ns
    assert [ends.tolist() for ends in step.ends_ns] == [ends.tolist() for ends in plain.ends_ns]


def test_each_stage_takes_what_its_layers_take():
    schedule = make_schedule("1f1b", 4, 8)
    timing = schedule_timing(schedule, UNEVEN)
    chunks = stage_chunks(UNEVEN, 4)
    for rank, slots in enumerate(schedule.ranks):
        for slot in slots:
            template = slot_template(UNEVEN, slot[0].operation.value, chunks[rank])
            assert timing.of_slot(rank, slot) == template
    forward = {rank: timing.of_slot(rank, schedule.ranks[rank][0]).length_ns for rank in range(4)}
    layer = sum(PLAIN.component_ns["F"].values())
    assert forward == {0: 28_000_000, 1: 2 * layer, 2: 3 * layer, 3: layer + 6_000_000}


def test_a_pair_of_chunks_of_unlike_length_runs_all_of_both():
    program = component_program("F&B", 1, 3)
    assert {(step.member, step.layer) for step in program} == {(0, 0), (1, 0), (1, 1), (1, 2)}
    assert all(max(step.after, default=-1) < place for place, step in enumerate(program))
    schedule = make_schedule("dualpipe", 4, 8)
    step = simulate(schedule, schedule_timing(schedule, UNEVEN))
    chunks = stage_chunks(UNEVEN, 4)
    pair = next(slot for slot in schedule.ranks[0] if len(slot) == 2)
    ways = [schedule.stage(0, action.direction) for action in pair]
    expected = slot_template(UNEVEN, "F&B", chunks[ways[0]], chunks[ways[1]])
    assert step.timing.of_slot(0, pair) == expected
    computing = sum(
        event.end_ns - event.start_ns for event in expected.events if event.lane == "compute"
    )
    assert expected.length_ns >= computing > 0


def test_operation_costs_differ_by_layer_too():
    profile = CostProfile(
        name="x",
        layers=2,
        operation_ns={"F": 20, "I": 20, "W": 20, "F&B": 48},
        model=[LayerCost(count=3), LayerCost(operation_ns={"F": 20})],
    )
    first, last = stage_chunks(profile, 2)
    assert [slot_template(profile, "F", one).length_ns for one in (first, last)] == [20, 30]
    # The pair of the longer layer is longer as its F + B is: 24 * (20 + 20) / (10 + 20) = 32.
    assert slot_template(profile, "F&B", last).length_ns == 24 + 32
    assert slot_template(profile, "F&B", first, last).length_ns == (48 + 56) // 2


def test_what_a_rank_holds_is_of_its_own_stages():
    schedule = make_schedule("dualpipe", 4, 8)
    stages = stage_memory(UNEVEN, 4)
    assert stages[0].parameter_bytes == 2 * 10**8
    run = simulated_run(schedule, UNEVEN)
    peaks = run.memory.groupby("rank")["allocated_bytes"].max().tolist()
    assert peaks == list(peak_bytes(schedule, stages))
    assert run.places[0].chunk_bytes == [6 * 10**8, 7 * 10**8]
    assert run.places[0].parameter_bytes == 2 * 10**8 + 2 * 10**9
    assert run.places[1].parameter_bytes == 5 * PLAIN.memory.parameter_bytes


@pytest.mark.parametrize("name", ["1f1b", "zb1p", "dualpipe", "interleaved-1f1b", "dualpipev"])
def test_costs_measured_in_a_run_of_uneven_stages_foretell_it(name):
    schedule = make_schedule(name, 4, 8)
    costs = msgspec.structs.replace(UNEVEN, message=PLAIN.message)
    run = simulated_run(schedule, costs)
    measured = costs_from_run(run)
    assert measured.stage_layers == list(stage_layers(costs, schedule.placement.stage_count))
    step = simulate(schedule, schedule_timing(schedule, measured))
    true = simulate(schedule, schedule_timing(schedule, costs))
    assert step.makespan_ns == pytest.approx(true.makespan_ns, rel=0.002)
    # And another schedule of the same stages.
    other = make_schedule("zb1p" if schedule.placement.stage_count == 4 else "zbv", 4, 8)
    foretold = simulate(other, schedule_timing(other, measured)).makespan_ns
    assert foretold == pytest.approx(
        simulate(other, schedule_timing(other, costs)).makespan_ns, rel=0.002
    )
    stages = schedule.placement.stage_count
    memories = zip(stage_memory(measured, stages), stage_memory(costs, stages), strict=True)
    for own, true_memory in memories:
        if name in ("1f1b", "zb1p"):  # ranks of two stages tell only the sum of both
            assert own.parameter_bytes == pytest.approx(true_memory.parameter_bytes, rel=1e-6)
        assert own.activation_bytes == pytest.approx(true_memory.activation_bytes, rel=1e-6)


def test_only_the_last_of_two_chunks_computes_the_output_layer_that_one_rank_was_measured_with():
    costs = msgspec.structs.replace(
        PLAIN, model=[LayerCost(count=3), HEAD], stage_layers=[4], message=MessageCost()
    )
    measured = costs_from_run(simulated_run(make_schedule("1f1b", 1, 6), costs))
    cut = make_schedule("dualpipev", 1, 6)
    halves = msgspec.structs.replace(costs, stage_layers=[2, 2])
    true = simulate(cut, schedule_timing(cut, halves)).makespan_ns
    assert simulate(cut, schedule_timing(cut, measured)).makespan_ns == pytest.approx(
        true, rel=1e-6
    )


def test_operation_costs_measured_in_a_run_of_uneven_stages():
    costs = CostProfile(
        name="x",
        operation_ns={"F": 10**7, "B": 2 * 10**7},
        model=[LayerCost(), LayerCost(operation_ns={"F": 3 * 10**7}), LayerCost(count=2)],
    )
    schedule = make_schedule("1f1b", 4, 8)
    measured = costs_from_run(simulated_run(schedule, costs))
    step = simulate(schedule, schedule_timing(schedule, measured))
    assert step.makespan_ns == simulate(schedule, schedule_timing(schedule, costs)).makespan_ns


def test_costs_of_like_stages_list_none():
    run = simulated_run(make_schedule("1f1b", 4, 8), PLAIN)
    measured = costs_from_run(run)
    assert (measured.model, measured.stage_layers) == ([], [])


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    factors=st.lists(st.sampled_from([0.5, 1.0, 1.7]), min_size=12, max_size=12),
    name=st.sampled_from(["1f1b", "dualpipe", "zb1p"]),
)
def test_every_component_takes_its_layers_time_once(counts, factors, name):
    model = [
        LayerCost(component_ns={"F": {"mlp": round(4_000_000 * factor)}})
        for factor in factors[: sum(counts)]
    ]
    costs = msgspec.structs.replace(PLAIN, model=model, stage_layers=counts)
    schedule = make_schedule(name, 4, 8)
    events = simulated_run(schedule, costs).events
    mlp = events[(events["component"] == "mlp") & (events["part"] == "F")]
    # Every micro-batch passes every layer once.
    total = 8 * sum(layer.component_ns["F"]["mlp"] for layer in model)
    assert int((mlp["end_ns"] - mlp["start_ns"]).sum()) == total


def test_faults_hit_layers_of_their_own_as_well():
    fault = read_fault("mlp@1=2x", 4)
    slower = with_faults(UNEVEN, [fault], 1)
    assert slower.model[0].component_ns["F"]["mlp"] == 18_000_000
    assert slower.model[0].component_ns["F"]["attention"] == 5_000_000
    larger = with_faults(UNEVEN, [read_fault("activations=2x", 4)], 0)
    assert larger.model[0].memory.activation_bytes == 6 * 10**8
    schedule = make_schedule("1f1b", 4, 8)
    timing = schedule_timing(schedule, UNEVEN, faults=[fault])
    assert timing.of_slot(0, schedule.ranks[0][0]).length_ns == 28_000_000
    assert timing.of_slot(1, schedule.ranks[1][0]).length_ns > 2 * 24_000_000


def test_a_profile_with_a_model_is_read_back():
    assert read_costs(costs_to_json(UNEVEN).encode(), "x.json") == UNEVEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": [{"cuont": 1}]}, r"unknown key 'model\[0\].cuont'"),
        ({"model": [{"count": 0}]}, r"model\[0\].count is 0"),
        ({"model": [{"component_ns": {"F": {"mpl": 1}}}]}, r"model\[0\].component_ns.F.mpl"),
        ({"model": [{"count": 2}], "stage_layers": [1, 2]}, "add up to 3 layers, but model has 2"),
        ({"stage_layers": [0, 1]}, r"stage_layers\[0\] is 0"),
        ({"model": [{"component_ns": {"F": {"mlp": -1}}}]}, "is -1"),
        ({"model": [{"operation_ns": {"F": 1}}]}, "beside no operation_ns"),
    ],
)
def test_odd_models_are_refused(change, message):
    plain = {"name": "x", "component_ns": {"F": {"mlp": 5}}} | change
    with pytest.raises(DpprofError, match=message):
        read_costs(msgspec.json.encode(plain), "x.json")


def test_measured_costs_fall_back_on_the_usual_layer_where_stages_are_no_cut():
    measured = costs_from_run(simulated_run(make_schedule("1f1b", 4, 8), UNEVEN))
    same, notes = fitting_costs(measured, make_schedule("zb1p", 4, 8))
    assert (same, notes) == (measured, ())
    other = make_schedule("interleaved-1f1b", 3, 6)
    usual, notes = fitting_costs(measured, other)
    assert (usual.model, usual.stage_layers) == ([], [])
    assert "6 stages of interleaved-1f1b are no cut of its 8 layers" in notes[0]
    longer, notes = fitting_costs(measured, make_schedule("zb1p", 4, 8), 5)
    assert stage_layers(longer, 4, 5) == (5, 5, 5, 5)
    assert notes
