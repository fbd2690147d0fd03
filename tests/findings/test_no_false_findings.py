"""Traces that look like a fault and have none: nothing wrong may be claimed of them."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.faults import read_fault
from dpprof.costs.load import load_costs
from dpprof.costs.profile import LayerCost
from dpprof.findings.find import find_findings
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.plan import make_plan
from dpprof.simulate.run import run_of_step, simulated_run
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.walk import walk
from dpprof.tables.columns import EVENTS, make_table

COSTS = msgspec.structs.replace(load_costs("deepseek-v3"), layers=2)
SCHEDULE = make_schedule("1f1b", 4, 10)


def found(run, what=None):
    result = find_findings(run, analyze(run))
    assert result.reason == ""
    return [one for one in result.findings if what in (None, one.what)]


def with_tables(run, **tables):
    """The run with other tables, which it takes apart by rank and step anew."""
    fields = {
        name: tables.get(name, getattr(run, name))
        for name in ("events", "slots", "memory", "steps")
    }
    return type(run)(
        run.name, run.source, fields["events"], run.places, run.schedule, run.manifest,
        fields["slots"], fields["memory"], fields["steps"], run.used_steps,
    )  # fmt: skip


def added(run, rows):
    """The run with more activities, each from one of its own rows."""
    texts = {name: str for name, kind in EVENTS.items() if kind == "category"}
    events = pd.concat([run.events.astype(texts), pd.DataFrame(rows)], ignore_index=True)
    return with_tables(run, events=make_table(EVENTS, dict(events.items())))


def plain_row(run, **fields):
    row = run.events[(run.events["component"] == "attention")].iloc[0].to_dict()
    nothing = {"component": "", "part": "", "slot": "", "operation": "", "layer": -1, "stage": -1}
    nothing |= {"direction": -1, "micro_batch": -1, "name": "something else"}
    return row | nothing | fields


@pytest.mark.parametrize("name", ["1f1b", "zb1p", "dualpipe"])
def test_a_rank_with_more_layers_is_not_slow(name):
    costs = msgspec.structs.replace(COSTS, stage_layers=[2, 2, 3, 1])
    run = simulated_run(make_schedule(name, 4, 10), costs)
    names = {one.what for one in found(run)}
    assert not names & {"slow rank", "gaps in slots", "lost overlap", "long slots", "late starts"}


def test_uneven_stages_promise_what_even_ones_gain():
    costs = msgspec.structs.replace(COSTS, stage_layers=[1, 2, 4, 1])
    run = simulated_run(SCHEDULE, costs)
    (one,) = found(run, "uneven stages")
    even = msgspec.structs.replace(COSTS, stage_layers=[2, 2, 2, 2])
    steps = [
        simulate(SCHEDULE, schedule_timing(SCHEDULE, which)).makespan_ns for which in (costs, even)
    ]
    assert one.gain_ns == pytest.approx(steps[0] - steps[1], abs=0.005 * steps[0])
    assert "1, 2, 4, 1" in one.text


def test_a_chunk_with_the_head_has_no_long_slots():
    """Hanayo: a quarter of a rank's slots are of the stage with the head."""
    schedule = make_schedule("hanayo", 2, 8)
    head = LayerCost(component_ns={part: {"output": 40_000_000} for part in ("F", "I", "W")})
    costs = msgspec.structs.replace(COSTS, layers=1, model=[LayerCost(count=7), head])
    assert found(simulated_run(schedule, costs), "long slots") == []


def test_kernels_without_a_component_are_no_lost_overlap():
    """Every slot ends with 20 ms of work that nobody labelled."""
    timing = schedule_timing(SCHEDULE, COSTS)
    plan = make_plan(SCHEDULE)
    run = run_of_step(simulate(SCHEDULE, timing), COSTS)
    lengths = (run.slots["end_ns"] - run.slots["start_ns"] + 20_000_000).tolist()
    times = walk(plan, lengths, timing.message, "eager")
    slots = run.slots.assign(start_ns=times.starts, end_ns=times.ends)
    shift = dict(
        zip(
            zip(run.slots["rank"], run.slots["slot"], strict=True),
            slots["start_ns"] - run.slots["start_ns"],
            strict=True,
        )
    )
    own = run.events[run.events["component"].astype(str) != ""]
    moved = [shift[key] for key in zip(own["rank"], own["slot"], strict=True)]
    events = own.assign(
        start_ns=own["start_ns"] + moved,
        end_ns=own["end_ns"] + moved,
        ready_ns=own["start_ns"] + moved,
    )
    extra = [
        plain_row(
            run, rank=rank, slot=slot, operation=operation,
            start_ns=end - 20_000_000, end_ns=end, ready_ns=end - 20_000_000,
        )
        for rank, slot, operation, end in zip(
            slots["rank"], slots["slot"], slots["operation"], slots["end_ns"], strict=True
        )
    ]  # fmt: skip
    steps = run.steps.assign(end_ns=max(times.ends))
    busy = added(with_tables(run, events=events, slots=slots, steps=steps), extra)
    assert found(busy, "lost overlap") == []
    assert found(busy, "gaps in slots") == []
    # The same slots with nothing in these 20 ms: gaps.
    empty = with_tables(run, events=events, slots=slots, steps=steps)
    (gaps,) = found(empty, "gaps in slots")
    healthy = simulate(SCHEDULE, replace(timing, message=timing.message)).makespan_ns
    assert gaps.gain_ns == pytest.approx(max(times.ends) - healthy, rel=0.1)


def _after_the_last_slot(run, work_ns):
    end = int(run.slots["end_ns"].max())
    steps = run.steps.assign(end_ns=end + 200_000_000)
    rows = [
        plain_row(run, rank=rank, start_ns=end, end_ns=end + work_ns, ready_ns=end)
        for rank in range(4)
    ]
    return added(with_tables(run, steps=steps), rows)


def test_an_optimizer_step_is_not_time_between_steps():
    run = simulated_run(SCHEDULE, COSTS)
    assert found(_after_the_last_slot(run, 200_000_000), "between steps") == []
    (one,) = found(_after_the_last_slot(run, 50_000_000), "between steps")
    assert one.gain_ns == pytest.approx(150_000_000, rel=0.01)


def test_a_reduction_between_slots_is_no_late_start():
    """Rank 3 has 60 ms of other work before its fifth slot."""
    timing, plan = schedule_timing(SCHEDULE, COSTS), make_plan(SCHEDULE)
    run = run_of_step(simulate(SCHEDULE, timing), COSTS)
    lengths = (run.slots["end_ns"] - run.slots["start_ns"]).tolist()
    number = plan.offsets[3] + 4
    held = list(lengths)
    held[number] += 60_000_000
    times = walk(plan, held, timing.message, "eager")
    starts = list(times.starts)
    starts[number] += 60_000_000
    slots = run.slots.assign(start_ns=starts, end_ns=times.ends)
    steps = run.steps.assign(end_ns=max(times.ends))
    messages = run.events[run.events["kind"].astype(str) == "p2p"]
    idle = with_tables(run, slots=slots, steps=steps, events=messages)
    late = added(idle, [plain_row(run, rank=3, start_ns=0, end_ns=1, ready_ns=0)])
    assert [one.ranks for one in find(late, "late starts")] == [[3]]
    begin = times.starts[number]
    busy = added(
        idle,
        [plain_row(run, rank=3, start_ns=begin, end_ns=begin + 60_000_000, ready_ns=begin)],
    )
    assert find(busy, "late starts") == []


def find(run, what):
    """Findings of a run whose events are only those that the test gives."""
    from dpprof.findings.changes import late_launches
    from dpprof.findings.find import _finding
    from dpprof.findings.replay import make_replay

    replay = make_replay(run, {0: (0, int(run.steps["end_ns"].max()))})
    if isinstance(replay, str):
        pytest.fail(replay)
    base = replay.step_ns()
    timed = [
        _finding(replay, base - replay.step_ns(late_ns=change.late_ns), change)
        for change in late_launches(replay)
    ]
    return [one for one in timed if one.what == what and one.gain_ns > 1_000_000]


def test_what_a_third_stream_hides_is_not_exposed():
    run = simulated_run(SCHEDULE, COSTS)
    (exposed,) = found(run, "exposed combine")
    rows = [
        plain_row(run, rank=rank, start_ns=start, end_ns=end, ready_ns=start, lane="compute")
        for rank, start, end in zip(
            run.slots["rank"], run.slots["start_ns"], run.slots["end_ns"], strict=True
        )
    ]
    hidden = added(run, rows)
    assert found(hidden, "exposed combine") == []
    assert exposed.gain_ns > 0


def test_a_synchronisation_everywhere_is_gaps_and_serial_dispatch_is_not():
    for text, what, other in (
        ("sync=20ms", "gaps in slots", "lost overlap"),
        ("serial=dispatch", "lost overlap", "gaps in slots"),
    ):
        schedule = make_schedule("dualpipe", 4, 10)
        timing = schedule_timing(schedule, COSTS, faults=[read_fault(text, 4)])
        run = run_of_step(simulate(schedule, timing), COSTS)
        healthy = simulate(schedule, schedule_timing(schedule, COSTS)).makespan_ns
        step = int(run.steps["end_ns"].max())
        (one,) = found(run, what)
        assert one.gain_ns == pytest.approx(step - healthy, abs=0.02 * step)
        assert found(run, other) == []


def test_two_slow_ranks_say_that_they_hide_each_other():
    faults = [read_fault(f"compute@{rank}=1.4x", 4) for rank in (1, 2)]
    timing = schedule_timing(SCHEDULE, COSTS, faults=faults)
    run = run_of_step(simulate(SCHEDULE, timing), COSTS)
    slow = found(run, "slow rank")
    assert sorted(one.ranks for one in slow) == [[1], [2]]
    assert any("together with slow rank of rank" in one.text for one in slow)


def test_a_schedule_that_needs_what_was_not_measured_is_of_low_confidence():
    costs = msgspec.structs.replace(
        COSTS, component_ns={}, operation_ns={"F": 10**7, "B": 2 * 10**7}
    )
    run = simulated_run(make_schedule("gpipe", 4, 10), costs)
    for one in found(run, "schedule"):
        assert "taken from other slots' costs" not in one.text or one.confidence == "low"


def test_where_the_step_time_cannot_be_known_nothing_would_make_it_shorter():
    run = simulated_run(SCHEDULE, COSTS)
    report = analyze(run)
    assert find_findings(run, report).findings
    unknown = find_findings(run, msgspec.structs.replace(report, step_ns=None))
    assert (unknown.findings, unknown.step_ns) == ([], None)
    assert "step time" in unknown.reason
