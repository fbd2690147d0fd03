"""Findings: a fault is planted, and what is promised without it is the step that has none."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
from click.testing import CliRunner

from dpprof.analysis.report.analyze import analyze
from dpprof.cli import cli
from dpprof.costs.faults import read_fault, with_faults
from dpprof.costs.load import load_costs
from dpprof.findings.find import LEAST_SHARE, find_findings
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.plan import make_plan
from dpprof.simulate.run import run_of_step, simulated_run
from dpprof.simulate.timing import Timing, timing_from_profile
from dpprof.simulate.walk import walk

COSTS = msgspec.structs.replace(load_costs("deepseek-v3"), layers=1)
FAULTS = [
    ("compute@1=1.3x", "slow rank", [1]),
    ("attention@2=1.5x", "slow rank", [2]),
    ("mlp@0=1.4x", "slow rank", [0]),
    ("dispatch@2=1.6x", "slow rank", [2]),
    ("combine@3=1.5x", "slow rank", [3]),
    ("sync@1=20ms", "gaps in slots", [1]),
    ("serial=dispatch", "lost overlap", []),
    ("serial=combine", "lost overlap", []),
]


def timing_with(text, pp):
    """The timing of every rank, with the fault on those that it hits."""
    fault = read_fault(text, pp)
    ranks = [timing_from_profile(with_faults(COSTS, [fault], rank)) for rank in range(pp)]
    templates = {
        (rank, operation): template
        for rank, timing in enumerate(ranks)
        for (_, operation), template in timing.templates.items()
    }
    return Timing(templates, ranks[0].message)


def findings(schedule, timing):
    run = run_of_step(simulate(schedule, timing), COSTS)
    return find_findings(run, analyze(run)).findings


@pytest.mark.parametrize("name", ["dualpipe", "1f1b"])
@pytest.mark.parametrize(("fault", "what", "ranks"), FAULTS)
def test_a_planted_fault_is_found_and_its_gain_is_the_step_without_it(name, fault, what, ranks):
    schedule = make_schedule(name, 4, 10)
    healthy = simulate(schedule, timing_from_profile(COSTS)).makespan_ns
    timing = timing_with(fault, 4)
    ill = simulate(schedule, timing).makespan_ns
    found = [one for one in findings(schedule, timing) if (one.what, one.ranks) == (what, ranks)]
    if ill - healthy < 2 * LEAST_SHARE * ill:
        return  # hidden under other work: nothing to gain
    assert len(found) == 1
    assert abs(found[0].gain_ns - (ill - healthy)) <= 0.02 * ill


@pytest.mark.parametrize("name", ["dualpipe", "1f1b", "zb1p", "combined-1f1b"])
def test_a_healthy_run_has_no_slow_rank_nor_lost_overlap(name):
    schedule = make_schedule(name, 4, 12)
    found = findings(schedule, timing_from_profile(COSTS))
    assert {one.what for one in found} <= {
        *("exposed combine", "exposed dispatch", "messages", "schedule"),
    }
    assert [one.gain_ns for one in found] == sorted((one.gain_ns for one in found), reverse=True)


def test_free_messages_gain_what_a_step_with_free_messages_does():
    schedule = make_schedule("1f1b", 4, 10)
    message = replace(timing_from_profile(COSTS), message=COSTS.message)
    free = replace(message, message=type(COSTS.message)())
    gain = simulate(schedule, message).makespan_ns - simulate(schedule, free).makespan_ns
    found = [one for one in findings(schedule, message) if one.what == "messages"]
    assert found[0].gain_ns == pytest.approx(gain, rel=0.02)


def test_one_slot_that_takes_longer_is_named_and_gains_what_it_costs():
    schedule = make_schedule("1f1b", 4, 10)
    timing = timing_from_profile(COSTS)
    run, plan = run_of_step(simulate(schedule, timing), COSTS), make_plan(schedule)
    lengths = (run.slots["end_ns"] - run.slots["start_ns"]).tolist()  # rank by rank, in order
    healthy = max(walk(plan, lengths, timing.message, "eager").ends)
    number = plan.offsets[1] + 8
    lengths[number] += 60_000_000
    times = walk(plan, lengths, timing.message, "eager")
    slots = run.slots.assign(start_ns=times.starts, end_ns=times.ends)
    ill = _with_slots(run, slots)
    found = [one for one in find_findings(ill, analyze(run)).findings if one.what == "long slots"]
    assert [(one.ranks, one.slots) for one in found] == [([1], [str(slots["slot"][number])])]
    assert found[0].gain_ns == pytest.approx(max(times.ends) - healthy, abs=0.002 * healthy)
    assert found[0].gain_ns > 0


def _with_slots(run, slots):
    return type(run)(
        run.name, run.source, run.events, run.places, run.schedule, run.manifest, slots,
        run.memory, run.steps, run.used_steps,
    )  # fmt: skip


def test_a_run_whose_schedule_is_not_known_has_no_findings_but_a_reason():
    run = simulated_run(make_schedule("1f1b", 2, 4), COSTS)
    blind = type(run)(run.name, run.source, run.events, run.places)
    found = find_findings(blind, analyze(run))
    assert found.findings == []
    assert found.reason == "the schedule of the run is not known"


def test_the_report_has_them_first_and_advise_alone(tmp_path):
    line = ["simulate", "1f1b", "--pp", "4", "--micro-batches", "8", "--costs", "deepseek-v3"]
    report = json.loads(CliRunner().invoke(cli, [*line, "--format", "json"]).stdout)
    keys = {"what", "ranks", "stages", "slots", "gain_ns", "share", "confidence", "knob", "text"}
    assert report["findings"][0].keys() == keys
    table = CliRunner().invoke(cli, line).stdout
    assert table.index("Findings (") < table.index("Time (")
    result = CliRunner().invoke(cli, ["advise", "traces/dualpipe", "--format", "json"])
    assert result.exit_code == 0, result.output
    advice = json.loads(result.stdout)
    assert advice["findings"] or advice["reason"]


def test_a_run_of_one_rank_has_no_peers_and_nothing_is_warned_of(recwarn):
    found = findings(make_schedule("1f1b", 1, 4), timing_from_profile(COSTS))
    assert not [one for one in found if one.what == "slow rank"]
    assert not recwarn.list
