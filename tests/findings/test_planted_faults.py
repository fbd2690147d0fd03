"""Faults on one rank, on unequal stages and on slow edges: what is promised is what is gained."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.faults import read_fault
from dpprof.costs.load import load_costs
from dpprof.costs.profile import LayerCost
from dpprof.findings.find import find_findings
from dpprof.schedules.registry import make_schedule
from dpprof.simulate import engine
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import run_of_step
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.walk import walk

PLAIN = load_costs("deepseek-v3")
CASES = [
    # schedule, micro-batches, layers of stages, fault, and what is promised of which rank
    ("1f1b", 5, None, "serial@0=dispatch", "lost overlap", [0]),
    ("1f1b", 5, [3, 1, 2], "serial=dispatch", "lost overlap", []),
    ("1f1b", 5, [3, 1, 2], "sync=10ms", "gaps in slots", []),
    ("1f1b", 5, [2, 3, 1], "sync@1=10ms", "gaps in slots", [1]),
    ("gpipe", 4, [2, 3, 2], "compute@1=1.5x", "slow rank", [1]),
    ("gpipe", 4, [2, 3, 2], "mlp@0=2x", "slow rank", [0]),
    ("dualpipev", 6, None, "message=10x", "messages", []),
    ("zbv", 4, None, "combine=2x", "exposed combine", []),
]


def _step(schedule, costs, fault):
    faults = [read_fault(fault, schedule.pp)] if fault else []
    return simulate(schedule, schedule_timing(schedule, costs, faults=faults))


@pytest.mark.parametrize(("name", "micro_batches", "cut", "fault", "what", "ranks"), CASES)
def test_a_planted_fault_promises_what_a_step_without_it_gains(
    name, micro_batches, cut, fault, what, ranks
):
    schedule = make_schedule(name, 3, micro_batches)
    costs = PLAIN
    if cut:
        model = [LayerCost()] * sum(cut)
        costs = msgspec.structs.replace(costs, model=model, stage_layers=cut)
    cured = {"messages": "message=0.001x", "exposed combine": "combine=0.001x"}.get(what, "")
    ill, well = _step(schedule, costs, fault), _step(schedule, costs, cured)
    run = run_of_step(ill, costs)
    found = [one for one in find_findings(run, analyze(run)).findings if one.what == what]
    gain = sum(one.gain_ns for one in found if one.ranks == ranks)
    assert [one.ranks for one in found] == [ranks]
    assert ill.makespan_ns - well.makespan_ns > 0.02 * ill.makespan_ns
    assert abs(gain - (ill.makespan_ns - well.makespan_ns)) <= 0.01 * ill.makespan_ns


def test_messages_slower_one_way_promise_what_equal_edges_gain(monkeypatch):
    schedule, message = make_schedule("1f1b", 3, 6), PLAIN.message
    slow = msgspec.structs.replace(message, bytes_per_second=message.bytes_per_second / 20)
    well = _step(schedule, PLAIN, "").makespan_ns
    monkeypatch.setattr(engine, "walk", partial(walk, edges={(0, 1): slow, (1, 2): slow}))
    ill = _step(schedule, PLAIN, "")
    monkeypatch.undo()
    run = run_of_step(ill, PLAIN)
    (found,) = [one for one in find_findings(run, analyze(run)).findings if one.what == "slow edge"]
    assert found.ranks == [0, 1, 2]
    assert "0 to 1 (29." in found.text
    assert ill.makespan_ns - well > 0.02 * ill.makespan_ns
    assert abs(found.gain_ns - (ill.makespan_ns - well)) <= 0.002 * ill.makespan_ns


def test_another_schedule_is_promised_for_the_stages_as_they_are_cut():
    costs = msgspec.structs.replace(PLAIN, model=[LayerCost()] * 7, stage_layers=[1, 1, 2, 3])
    schedule = make_schedule("1f1b", 4, 7)
    run = run_of_step(_step(schedule, costs, ""), costs)
    found = {one.what: one for one in find_findings(run, analyze(run)).findings}
    assert found["uneven stages"].gain_ns > 0
    assert "schedule" not in found or "1f1b takes" not in found["schedule"].text
