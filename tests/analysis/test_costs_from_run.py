"""Cost profiles from runs: by component, by operation, messages, memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.costs.faults import read_fault
from dpprof.costs.load import load_costs
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.costs.stages import delay_notes
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import run_of_step, simulated_run
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.tables.columns import EVENTS, SLOTS, make_table

COLUMNS = ("rank", "operation", "part", "component", "layer", "kind", "start_ns", "end_ns")


def run_of(rows, **more):
    """A run of events given as rows of `COLUMNS`, all of step 0 and of one slot a rank."""
    values = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    events = make_table(EVENTS, {**values, "step": [0] * len(rows)})
    return Run("hand-made", "captured", events, (RankPlace(rank=0, pp_rank=0),), **more)


def test_components_by_layer_inside_and_outside_of_pairs():
    profile = costs_from_run(
        run_of(
            [
                (0, "F", "F", "attention", 0, "compute", 0, 10),
                (0, "F", "F", "attention", 0, "compute", 5, 12),  # overlaps: 12 together
                (0, "F", "F", "attention", 0, "compute", 20, 22),  # 14 with the gap left out
                (0, "F", "F", "attention", 1, "compute", 30, 40),
                (0, "F", "F", "dispatch", 0, "dispatch", 12, 18),
                (0, "F", "F", "dispatch", 0, "compute", 0, 100),  # a cast: not the transfer
                (0, "F", "F", "dispatch", 0, "comm_other", 18, 19),
                (0, "F&B", "F", "attention", 0, "compute", 50, 70),
                (0, "F&B", "W", "mlp", 0, "compute", 70, 79),
                (0, "F", "", "", -1, "compute", 80, 90),  # no component
                (0, "F", "F", "mlp", 0, "memory", 80, 90),  # no compute
            ]
        ),
        "mine",
    )
    assert profile == CostProfile(
        name="mine",
        source="captured run hand-made",
        layers=2,
        component_ns={"F": {"attention": 12, "dispatch": 7}, "W": {"mlp": 9}},
        pair_component_ns={"F": {"attention": 20}},
    )


def test_waiting_is_no_cost():
    run = run_of([(0, "F", "F", "dispatch", 0, "dispatch", 0, 10)])
    run.events["ready_ns"] = 7
    assert costs_from_run(run).component_ns == {"F": {"dispatch": 3}}


def test_absolute_times_lose_no_nanosecond():
    now = 1_740_461_679_471_821_001
    run = run_of(
        [
            (0, "F", "F", "mlp", 0, "compute", now, now + 3),
            (0, "F", "F", "mlp", 0, "compute", now + 1, now + 5),
        ]
    )
    assert costs_from_run(run).component_ns == {"F": {"mlp": 5}}


def test_steps_that_are_not_used_do_not_count():
    run = run_of([(0, "F", "F", "mlp", 0, "compute", 0, 10)], used_steps=(3,))
    with pytest.raises(DpprofError, match="hand-made: no costs in this run"):
        costs_from_run(run)


def test_slots_without_components_cost_their_length():
    slots = make_table(
        SLOTS,
        {
            "rank": [0, 0, 1],
            "step": [0, 0, 0],
            "start_ns": [0, 10, 0],
            "end_ns": [10, 22, 14],
            "slot": ["F0.0", "F0.1", "I0.0"],
            "operation": ["F", "F", "I"],
        },
    )
    assert costs_from_run(run_of([], slots=slots)).operation_ns == {"F": 11, "I": 14}


def test_messages_cost_their_transfer_where_both_sides_show():
    profile = CostProfile(
        name="test",
        operation_ns={"F": 10, "B": 20},
        message=MessageCost(bytes=300, latency_ns=4),
    )
    run = simulated_run(make_schedule("1f1b", 2, 4), profile)
    assert costs_from_run(run).message == MessageCost(bytes=300, latency_ns=4)
    one_rank = Run("half", "captured", run.events[run.events["rank"] == 0], (), slots=run.slots)
    assert costs_from_run(one_rank).message == MessageCost()


COMPONENTS = st.dictionaries(
    st.sampled_from(["attention", "dispatch", "mlp", "combine", "output"]),
    st.integers(1, 50),
    min_size=1,
)
COMPUTING = st.dictionaries(
    st.sampled_from(["attention", "mlp", "output"]), st.integers(1, 50), min_size=1
)


@settings(max_examples=30, deadline=None)
@given(forward=COMPONENTS, backward=COMPONENTS, weight=COMPUTING, slower=st.integers(0, 9))
def test_the_costs_of_a_simulated_run_are_those_it_was_made_with(forward, backward, weight, slower):
    parts = {"F": forward, "I": backward, "W": weight}
    profile = CostProfile(
        name="test",
        layers=3,
        component_ns=parts,
        pair_component_ns={
            part: {key: value + slower for key, value in costs.items()}
            for part, costs in parts.items()
        },
        memory=MemoryCost(
            parameter_bytes=5, gradient_bytes=6, optimizer_bytes=7, activation_bytes=8
        ),
        tokens_per_micro_batch=16,
    )
    run = simulated_run(make_schedule("dualpipe", 4, 10), profile)
    found = costs_from_run(run, "test")
    assert found == CostProfile(
        name="test",
        source="simulated run dualpipe (test)",
        layers=3,
        component_ns=profile.component_ns,
        pair_component_ns=profile.pair_component_ns,
        memory=profile.memory,
        tokens_per_micro_batch=16,
    )


DEEPSEEK = Path(__file__).parents[3] / "shared" / "data" / "deepseek_train.json.gz"


@pytest.mark.skipif(not DEEPSEEK.exists(), reason=f"{DEEPSEEK} is not there")
def test_the_built_in_deepseek_costs_are_those_of_its_trace():
    from dpprof.trace.load import load_run
    from traces.derive_deepseek import deepseek_costs

    assert deepseek_costs(load_run(DEEPSEEK)) == load_costs("deepseek-v3")


@pytest.mark.parametrize("serial", [["combine"], ["dispatch"], ["combine", "dispatch"]])
@pytest.mark.parametrize("name", ["1f1b", "dualpipe"])
def test_components_beside_which_nothing_runs_are_found(name, serial):
    costs = replace(load_costs("deepseek-v3"), serial_components=serial)
    schedule = make_schedule(name, 4, 8)
    measured = costs_from_run(simulated_run(schedule, costs))
    true, own = (
        simulate(schedule, schedule_timing(schedule, one)).makespan_ns for one in (costs, measured)
    )
    assert own == pytest.approx(true, rel=0.002)
    assert (
        costs_from_run(simulated_run(schedule, load_costs("deepseek-v3"))).serial_components == []
    )


@pytest.mark.parametrize("name", ["dualpipev", "dualpipe", "hanayo", "1f1b"])
def test_messages_that_wait_for_each_other_on_an_edge_foretell_the_step(name):
    costs = replace(load_costs("deepseek-v3"), layers=1)
    schedule = make_schedule(name, 4, 12)
    measured = costs_from_run(simulated_run(schedule, costs))
    true, own = (
        simulate(schedule, schedule_timing(schedule, one)).makespan_ns for one in (costs, measured)
    )
    assert own == pytest.approx(true, rel=0.001)


def test_what_passes_in_slots_before_anything_runs_is_their_delay():
    costs = replace(load_costs("deepseek-v3"), slot_delay_ns=3_000_000)
    schedule = make_schedule("dualpipe", 2, 4)
    own = costs_from_run(simulated_run(schedule, costs))
    assert own.slot_delay_ns == 3_000_000
    step, again = (simulate(schedule, schedule_timing(schedule, one)) for one in (costs, own))
    assert again.makespan_ns == pytest.approx(step.makespan_ns, rel=1e-3)


@pytest.mark.parametrize("name", ["1f1b", "dualpipe", "zbv"])
def test_what_passes_on_one_rank_alone_is_its_own(name):
    costs = replace(load_costs("deepseek-v3"), layers=1)
    schedule = make_schedule(name, 4, 12)
    fault = read_fault("sync@1=5ms", 4)
    ill = simulate(schedule, schedule_timing(schedule, costs, faults=[fault]))
    own = costs_from_run(run_of_step(ill, costs))
    assert own.rank_delay_ns == [0, 5_000_000, 0, 0]
    assert own.slot_delay_ns == 0
    again = simulate(schedule, schedule_timing(schedule, own)).makespan_ns
    assert again == pytest.approx(ill.makespan_ns, rel=1e-3)
    (note,) = delay_notes(own, 2)
    assert "rank 1 of measured begin 5.00 ms late; on PP 2 all are taken to begin 0.00 ms" in note
    assert not delay_notes(own, 4)
    sixth = read_fault("sync@1=6ms", 4)
    both = schedule_timing(schedule, own, faults=[sixth])
    slots = {rank: both.of_slot(rank, schedule.ranks[rank][0]).length_ns for rank in range(4)}
    assert slots[1] - slots[2] == 11_000_000
