"""``dpprof plan``: the first row is that of an exhaustive search by the simulator."""

from __future__ import annotations

import json

import msgspec
import pytest
from click.testing import CliRunner

from dpprof.cli import cli
from dpprof.costs.load import load_costs
from dpprof.errors import DpprofError
from dpprof.plan.answer import answer
from dpprof.plan.question import Question
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.search.candidate import candidate
from dpprof.simulate.engine import simulate
from dpprof.simulate.stage_timing import schedule_timing

COSTS = load_costs("deepseek-v3")


def exhaustive(ranks, micro_batches, layers, memory):
    """(does not fit, step, schedule, pp) of every configuration, one by one."""
    found = []
    for pp in range(1, ranks + 1):
        pipelines, rest = divmod(ranks, pp)
        if rest or micro_batches % pipelines:
            continue
        for name in schedule_names():
            try:
                schedule = make_schedule(name, pp, micro_batches // pipelines)
            except DpprofError:
                continue
            stages = schedule.placement.stage_count
            if layers % stages == 0:
                one = candidate(schedule, COSTS, layers // stages)
                found.append((max(one.peak_bytes) > memory, one.step_ns, name, pp))
    return sorted(found)


@pytest.mark.parametrize("memory", [2**50, 40 * 2**30, 29 * 2**30])
def test_rows_are_those_of_an_exhaustive_search(memory):
    rows = answer(
        Question(ranks=4, costs=COSTS, layers=16, micro_batches=(16,), memory_bytes=memory)
    ).rows
    expected = exhaustive(4, 16, 16, memory)
    assert sorted((not r.fits, r.step_ns, r.schedule, r.pp) for r in rows) == expected
    assert (not rows[0].fits, rows[0].step_ns) == expected[0][:2]


def test_the_front_of_time_and_memory_holds_what_nothing_beats_in_both():
    rows = answer(Question(ranks=4, costs=COSTS, layers=16, micro_batches=(16,))).rows
    for row in rows:
        held = max(row.peak_bytes)
        beaten = any(
            one.step_ns <= row.step_ns
            and max(one.peak_bytes) <= held
            and (one.step_ns, max(one.peak_bytes)) != (row.step_ns, held)
            for one in rows
        )
        twins = [one for one in rows if (one.step_ns, max(one.peak_bytes)) == (row.step_ns, held)]
        assert sum(one.best_trade for one in twins) == (0 if beaten else 1)
    assert rows[0].best_trade


def test_micro_batches_are_shared_among_pipelines():
    rows = answer(
        Question(ranks=8, costs=COSTS, layers=8, micro_batches=(16,), pps=(2,), names=("1f1b",))
    ).rows
    assert [(r.pp, r.pipelines, r.micro_batches, r.layers) for r in rows] == [(2, 4, 4, 4)]
    tokens = COSTS.tokens_per_micro_batch * 16
    assert rows[0].tokens_per_second == pytest.approx(tokens / rows[0].step_ns * 1e9)


def test_chunks_are_of_a_rank():
    rows = answer(
        Question(ranks=4, costs=COSTS, layers=16, micro_batches=(16,), pps=(4,), chunks=(2,))
    ).rows
    assert {row.chunks for row in rows} == {2}
    assert {"dualpipev", "interleaved-1f1b", "vmin"} <= {row.schedule for row in rows}


def test_the_command_gives_json_and_says_what_is_missing():
    line = ["plan", "--costs", "unit", "--ranks", "4", "--micro-batches", "8"]
    result = CliRunner().invoke(cli, [*line, "--format", "json"])
    content = json.loads(result.stdout)
    assert content["check"] is None
    assert content["rows"][0]["fits"] is None
    row = content["rows"][0]
    asked = f"schedule={row['schedule']}&pp={row['pp']}&micro_batches={row['micro_batches']}"
    assert row["what_if"] == f"/what_if?{asked}&layers={row['layers']}"
    keys = {"schedule", "pp", "chunks", "micro_batches", "layers", "step_ns", "tokens_per_second"}
    assert keys <= content["rows"][0].keys()
    table = CliRunner().invoke(cli, [*line, "--memory", "1GiB"])
    assert "GiB" in table.stdout
    for wrong in (["plan"], line[:3], [*line, "--pp", "0"], [*line, "--pp", "3"]):
        assert isinstance(CliRunner().invoke(cli, wrong).exception, DpprofError)


def test_recomputation_is_planned_where_nothing_fits_and_the_first_row_is_written(tmp_path):
    line = ["plan", "--costs", "deepseek-v3", "--ranks", "4", "--micro-batches", "16"]
    path = tmp_path / "first.json"
    line += ["--memory", "20GiB", "--schedule", "1f1b,zb1p", "--pp", "4", "--format", "json"]
    result = CliRunner().invoke(cli, [*line, "--write-schedule", str(path)])
    rows = json.loads(result.stdout)["rows"]
    assert {row["recompute"] for row in rows} == {"none", "full"}
    assert (rows[0]["recompute"], rows[0]["fits"]) == ("full", True)
    assert json.loads(path.read_text())["schedule"] == rows[0]["schedule"]
    only = CliRunner().invoke(cli, [*line, "--recompute", "none"])
    assert {row["recompute"] for row in json.loads(only.stdout)["rows"]} == {"none"}


def test_any_row_is_written(tmp_path):
    line = ["plan", "--costs", "deepseek-v3", "--ranks", "4", "--micro-batches", "16", "--pp", "4"]
    path = tmp_path / "third.json"
    written = ["--format", "json", "--write-schedule", str(path), "--row", "3"]
    rows = json.loads(CliRunner().invoke(cli, [*line, *written]).stdout)["rows"]
    schedule = json.loads(path.read_text())
    assert rows[2]["schedule"] != rows[0]["schedule"]
    assert (schedule["schedule"], schedule["pp"]) == (rows[2]["schedule"], 4)
    refused = CliRunner().invoke(cli, [*line, "--row", "99"])
    assert "rows; give a lower number" in str(refused.exception)


def test_rows_of_ranks_that_are_late_are_the_simulator_s_and_other_sizes_say_so():
    late = msgspec.structs.replace(COSTS, rank_delay_ns=[0, 4_000_000, 0, 0])
    plan = answer(Question(ranks=4, costs=late, layers=16, micro_batches=(16,), names=("1f1b",)))
    steps = {row.pp: row.step_ns for row in plan.rows}
    for pp in (1, 2, 4):
        own, schedule = late if pp == 4 else COSTS, make_schedule("1f1b", pp, 4 * pp)
        timing = schedule_timing(schedule, own, 16 // pp)
        assert steps[pp] == simulate(schedule, timing).makespan_ns
    assert len(plan.notes) == 2
    for pp, note in zip((1, 2), plan.notes, strict=True):
        assert note.endswith(f"on PP {pp} all are taken to begin 0.00 ms late")
    assert (
        steps[4]
        > answer(
            Question(
                ranks=4, costs=COSTS, layers=16, micro_batches=(16,), pps=(4,), names=("1f1b",)
            )
        )
        .rows[0]
        .step_ns
    )


def test_the_address_of_a_row_with_unequal_stages_has_them():
    row = answer(
        Question(ranks=4, costs=COSTS, layers=13, micro_batches=(8,), pps=(4,), names=("1f1b",))
    ).rows[0]
    cut = "%2C".join(map(str, row.stage_layers))
    assert row.what_if == f"/what_if?schedule=1f1b&pp=4&micro_batches=8&layers={cut}"
