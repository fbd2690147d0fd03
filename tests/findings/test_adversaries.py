"""Runs in which a promised gain could be wrong: faults that come and go, or hide each other."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import msgspec
import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.faults import read_fault
from dpprof.costs.load import load_costs
from dpprof.costs.profile import LayerCost
from dpprof.findings.find import find_findings
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import run_of_step
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, STEPS, make_table

COSTS = msgspec.structs.replace(load_costs("deepseek-v3"), layers=2)
UNEVEN = msgspec.structs.replace(COSTS, model=[LayerCost()] * 9, stage_layers=[2, 3, 2, 2])
SCHEDULE = make_schedule("1f1b", 4, 10)
NAMES = {"events": EVENTS, "slots": SLOTS, "memory": MEMORY, "steps": STEPS}


def step_of(faults, costs=COSTS, slower=1.0):
    """A step with faults apart by blanks, everything of it `slower` times as long."""
    every = [f"{part}={slower}x" for part in ("compute", "dispatch", "combine", "message")]
    read = [read_fault(text, 4) for text in [*faults.split(), *every]]
    return simulate(SCHEDULE, schedule_timing(SCHEDULE, costs, faults=read))


def run_of(steps, costs=COSTS):
    """One run of several steps, one after another."""
    runs = [run_of_step(step, costs) for step in steps]
    tables = {name: [] for name in NAMES}
    begins = [0, *accumulate(step.makespan_ns for step in steps)]
    for number, run in enumerate(runs):
        for name, schema in NAMES.items():
            table = getattr(run, name)
            texts = {key: str for key, kind in schema.items() if kind == "category"}
            moved = {"step": number} if "step" in table else {}
            for key in ("start_ns", "end_ns", "ready_ns", "time_ns"):
                if key in table:
                    moved[key] = table[key] + begins[number]
            tables[name].append(table.astype(texts).assign(**moved))
    whole = {
        name: make_table(NAMES[name], dict(pd.concat(parts, ignore_index=True).items()))
        for name, parts in tables.items()
    }
    first = runs[0]
    return Run(
        first.name, first.source, whole["events"], first.places, first.schedule, first.manifest,
        whole["slots"], whole["memory"], whole["steps"], tuple(range(len(steps))),
    )  # fmt: skip


def promised(run, *what):
    """Rank and gain of findings of these names."""
    result = find_findings(run, analyze(run))
    assert result.reason == ""
    return {tuple(one.ranks): one for one in result.findings if one.what in what}


def gain(ill, well):
    """Mean over steps of what those without take less."""
    pairs = zip(ill, well, strict=True)
    return sum(one.makespan_ns - other.makespan_ns for one, other in pairs) / len(ill)


@pytest.mark.parametrize("costs", [COSTS, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("compute@1=1.4x", "slow rank"),
        ("sync@2=6ms", "gaps in slots"),
        ("serial=dispatch", "lost overlap"),
        ("sync=6ms", "gaps in slots"),
    ],
)
def test_a_fault_of_two_steps_in_three_gains_nothing_in_the_third(fault, what, costs):
    well = step_of("", costs)
    ill = [step_of(fault, costs), step_of(fault, costs), well]
    found = promised(run_of(ill, costs), what)
    ((one,)) = found.values()
    assert one.gain_ns == pytest.approx(gain(ill, [well] * 3), abs=0.01 * ill[0].makespan_ns)
    assert one.confidence == "low"


@pytest.mark.parametrize("costs", [COSTS, UNEVEN], ids=["even", "uneven"])
def test_a_straggler_that_changes_rank_is_promised_of_none(costs):
    ill = [step_of(f"compute@{rank}=1.5x", costs) for rank in (1, 2, 3)]
    assert not promised(run_of(ill, costs), "slow rank")


def test_a_straggler_of_one_step_in_three_is_promised_nowhere():
    ill = [step_of(""), step_of("compute@1=1.5x"), step_of("")]
    assert not promised(run_of(ill), "slow rank", "long slots")


@pytest.mark.parametrize("slower", [(1.0, 2.0, 1.0), (2.0, 1.0, 2.0)])
@pytest.mark.parametrize("fault", ["compute@1=1.4x", "dispatch@2=1.6x"])
def test_steps_of_unequal_length_gain_each_its_own(fault, slower):
    ill = [step_of(fault, slower=times) for times in slower]
    well = [step_of("", slower=times) for times in slower]
    ((one,)) = promised(run_of(ill), "slow rank").values()
    assert one.gain_ns == pytest.approx(gain(ill, well), abs=0.01 * ill[0].makespan_ns)


@pytest.mark.parametrize(
    ("first", "second"),
    [("compute@1=1.4x", "compute@2=1.3x"), ("compute@1=1.4x", "mlp@1=1.3x")],
)
def test_two_faults_promise_what_each_alone_gains(first, second):
    ill = step_of(f"{first} {second}")
    run = run_of([ill, ill])
    found = promised(run, "slow rank")
    if first[:8] == second[:8]:
        for rank, rest in ((1, second), (2, first)):
            true = ill.makespan_ns - step_of(rest).makespan_ns
            assert found[(rank,)].gain_ns == pytest.approx(true, abs=0.01 * ill.makespan_ns)
    else:
        true = ill.makespan_ns - step_of("").makespan_ns
        assert found[(1,)].gain_ns == pytest.approx(true, abs=0.01 * ill.makespan_ns)


def test_a_rank_that_is_missing_leaves_no_findings():
    run = run_of([step_of("compute@1=1.5x")] * 2)
    slots = run.slots[run.slots["rank"] != 2]
    gone = replace(run, slots=slots)
    result = find_findings(gone, analyze(gone))
    assert not result.findings
    assert "not every slot" in result.reason
