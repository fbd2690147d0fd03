"""``dpprof search``: better than the best known, within memory, as a file that other verbs take."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from dpprof.cli import cli
from dpprof.costs.load import load_costs
from dpprof.costs.profile import LayerCost, MemoryCost
from dpprof.errors import DpprofError
from dpprof.schedules.form import read_schedule_file
from dpprof.search.find import SearchRequest, find
from dpprof.search.rounds import SearchBudget
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_profile


def search(*arguments, output):
    line = ["search", *arguments, "--seconds", "1", "-o", str(output)]
    return CliRunner().invoke(cli, line)


def refusal(result):
    assert isinstance(result.exception, DpprofError)
    return str(result.exception)


def test_a_found_schedule_beats_dualpipe_and_is_a_schedule(tmp_path):
    file = tmp_path / "mine.json"
    sizes = ("--pp", "4", "--micro-batches", "12", "--costs", "deepseek-v3")
    result = search(*sizes, "--format", "json", output=file)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    schedule = read_schedule_file(file)
    timing = timing_from_profile(load_costs("deepseek-v3"))
    assert schedule.name == "mine"
    assert simulate(schedule, timing).makespan_ns == found["step_ns"]
    assert found["best_known"]["schedule"] == "dualpipe"
    assert found["bound_ns"] < found["step_ns"] < found["best_known"]["step_ns"]
    assert max(found["peak_bytes"]) <= max(found["best_known"]["peak_bytes"])
    shown = CliRunner().invoke(cli, ["schedule", str(file)])
    assert shown.exit_code == 0
    assert "mine: 4 ranks, 12 micro-batches" in shown.stdout


def test_the_schedule_keeps_the_memory_that_was_given():
    costs = load_costs("deepseek-v3")
    chunk = costs.memory.activation_bytes * costs.layers

    def request(memory):
        return SearchRequest(
            pp=4, micro_batches=10, costs=costs, names=("1f1b",), memory_bytes=memory,
            budget=SearchBudget(0.3),
        )  # fmt: skip

    stage = max(find(request(2**50)).known.peak_bytes)  # static and four chunks
    found = find(request(stage + chunk // 2))
    assert max(found.best.peak_bytes) <= stage
    assert found.limit_chunks == 4
    with pytest.raises(DpprofError, match="the least is 1f1b"):
        find(request(stage - 1))


def test_without_memory_given_no_rank_holds_more_chunks_however_small_some_are():
    model = [LayerCost(memory=MemoryCost(activation_bytes=size)) for size in (9, 1, 1, 9, 1, 1)]
    costs = replace(load_costs("deepseek-v3"), model=model, stage_layers=[1] * 6)
    request = SearchRequest(
        pp=3, micro_batches=6, costs=costs, names=("vmin",), budget=SearchBudget(0.3)
    )
    found = find(request)
    assert found.best.step_ns <= found.known.step_ns
    assert max(found.best.peak_chunks) <= max(found.known.peak_chunks) == found.limit_chunks


def test_what_cannot_be_searched_is_said(tmp_path):
    file = tmp_path / "a.json"
    sizes = ("--pp", "3", "--micro-batches", "7")
    unknown = search(*sizes, "--costs", "unit", "--schedule", "dualpip", output=file)
    assert "did you mean dualpipe" in refusal(unknown)
    odd = search(*sizes, "--costs", "unit", "--schedule", "dualpipe", output=file)
    assert "the number of ranks must be even" in refusal(odd)
    memory = search(*sizes, "--costs", "unit", "--memory", "much", output=file)
    assert "--memory: 'much' is not a size" in refusal(memory)
    assert not file.exists()


def test_a_file_named_like_a_known_schedule_holds_another_name(tmp_path):
    file = tmp_path / "dualpipe.json"
    sizes = ("--pp", "2", "--micro-batches", "4", "--costs", "unit")
    assert search(*sizes, output=file).exit_code == 0
    assert read_schedule_file(file).name == "found-dualpipe"
    assert "exists already" in refusal(search(*sizes, output=file))
    assert search(*sizes, "--force", output=file).exit_code == 0
