"""Ideal beside measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.accounting.account import account
from dpprof.analysis.report.analyze import analyze
from dpprof.analysis.report.ideal import idle_states
from dpprof.costs.load import load_costs
from dpprof.costs.profile import CostProfile
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import run_of_step, simulated_run
from dpprof.simulate.timing import timing_from_profile
from dpprof.tables.columns import END, RANK, START, STEP
from dpprof.tables.kinds import STATES


def simulated(name: str, costs: str = "unit"):
    return simulated_run(make_schedule(name, 4, 8), load_costs(costs))


@pytest.mark.parametrize("name", ["1f1b", "zb1p", "dualpipe", "dualpipev"])
def test_a_simulated_step_is_its_own_ideal(name: str) -> None:
    size = {"dualpipev": 2}.get(name, 4)
    run = simulated_run(make_schedule(name, size, 8), load_costs("unit-components"))
    report = analyze(run)
    assert report.ideal is not None
    assert report.ideal.window_ns == report.window_ns
    for rank, ideal in zip(report.ranks, report.ideal.ranks, strict=True):
        assert rank.bubble_ns == ideal.bubble_ns
        assert ideal.difference_ns == {"slots": 0}
        assert ideal.busy_ns + ideal.bubble_ns == report.ideal.window_ns


def test_the_closed_form_of_1f1b_is_exact() -> None:
    ideal = analyze(simulated("1f1b")).ideal
    assert ideal is not None
    assert ideal.bubble_ns == ideal.closed_form_ns == 3 * (10_000_000 + 20_000_000)
    assert ideal.closed_form == "(PP-1)(F+B)"
    assert ideal.chunk_ns == [{"B": 20_000_000, "F": 10_000_000}] * 4


def test_an_ideal_above_the_measured_step_is_warned_of() -> None:
    """Slots that hold waiting: each begins where the one before has ended."""
    run = simulated("1f1b")
    assert not any(text.startswith("ideal:") for text in analyze(run).warnings)
    slots = run.slots.copy()
    before = slots.groupby(RANK)[END].shift().fillna(0)
    early = (slots[START] - before).clip(0, 20_000_000)
    slots[START] = (slots[START] - early).astype("int64")
    warnings = analyze(replace(run, slots=slots)).warnings
    texts = [one for one in warnings if one.startswith("ideal:")]
    assert len(texts) == 1
    assert "is longer than the step as measured, 330.00 ms" in texts[0]


def test_the_difference_adds_up_and_names_the_state() -> None:
    """The last slot of rank 0 starts 7 ns late: host time, and nothing else changes."""
    run = simulated("1f1b")
    late = {}
    for name in ("events", "slots"):
        table = getattr(run, name).copy()
        last = (table[RANK] == 0) & (table[END] == table[END].max())
        table.loc[last, [START, END]] += 7
        late[name] = table
    report = analyze(replace(run, source="captured", **late))
    assert report.ideal is not None
    assert report.window_ns - report.ideal.window_ns == 7
    assert report.ideal.ranks[0].difference_ns == {"slots": 0, "bubble.host": 7}
    for rank in report.ideal.ranks:
        assert sum(rank.difference_ns.values()) == 7


def test_sums_run_over_the_used_steps() -> None:
    run = simulated("1f1b")
    one = analyze(run)
    both = {
        name: type(getattr(run, name))(_twice(getattr(run, name))) for name in ("events", "slots")
    }
    two = analyze(replace(run, used_steps=(0, 1), **both))
    assert one.ideal is not None
    assert two.ideal is not None
    assert two.window_ns == 2 * one.window_ns
    assert two.step_ns == one.step_ns
    assert (two.ideal.steps, two.ideal.window_ns) == (2, 2 * one.ideal.window_ns)
    assert two.ideal.closed_form_ns == 2 * one.ideal.bubble_ns
    assert [step.window_ns for step in two.per_step] == [one.window_ns] * 2


def _twice(table):
    import pandas as pd

    shift = 10**9
    later = table.assign(
        **{STEP: table[STEP] + 1, START: table[START] + shift, END: table[END] + shift}
    )
    return pd.concat([table, later], ignore_index=True)


def test_without_the_slots_of_every_rank_there_is_none() -> None:
    run = simulated("1f1b")
    report = analyze(replace(run, slots=run.slots[run.slots[RANK] != 2]))
    assert report.ideal is None
    assert report.warnings == [
        "no ideal: no slots in the trace of pipeline ranks [2]; give all ranks' traces"
    ]


def test_an_unknown_schedule_has_no_ideal_and_no_warning(make_run, event) -> None:
    report = analyze(make_run([event(0, 0, 10)]))
    assert (report.ideal, report.schedule, report.pp, report.warnings) == (None, None, None, [])


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(schedule_names()),
    pp=st.sampled_from([2, 4]),
    costs=st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_idle_states_of_an_ideal_step_are_those_of_its_accounts(name, pp, costs) -> None:
    forward, inputs, weights, pair = costs
    profile = CostProfile(
        name="drawn",
        operation_ns={"F": forward, "I": inputs, "W": weights, "F&B": max(forward, inputs) + pair},
    )
    step = simulate(make_schedule(name, pp, 4 * pp), timing_from_profile(profile))
    outside = account(run_of_step(step, profile)).outside
    for pp_rank, row in outside.set_index("rank")[list(STATES)].iterrows():
        found = {state: int(time) for state, time in row.items() if time}
        expected = {state: time for state, time in idle_states(step, pp_rank).items() if time}
        assert found == expected
