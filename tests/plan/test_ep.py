"""Ranks that share the experts: known from a model's shape alone, and only what they hold."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dpprof.cli import cli
from dpprof.errors import DpprofError

SHAPE = """
[shape]
layers = 8
hidden = 512
heads = 4
head_size = 64
experts = 16
top_k = 2
expert_size = 256
vocab = 1000
tokens = 1024
sequence = 1024
ep = 2
dp = 4
dp_experts = 4
[rates]
operations_per_second = 1e14
exchange_bytes_per_second = 1e10
message_bytes_per_second = 1e10
"""
LAYERS_OF_A_STAGE, EXPERT = 2, 3 * 512 * 256  # weights of one expert of one layer


def plan(costs, *more):
    sizes = ["--ranks", "16", "--pp", "4", "--micro-batches", "32", "--schedule", "1f1b"]
    return CliRunner().invoke(cli, ["plan", "--costs", str(costs), *sizes, *more])


def rows(costs, *more):
    result = plan(costs, "--format", "json", *more)
    assert result.exit_code == 0, result.output
    return {row["ep"]: row for row in json.loads(result.stdout)["rows"]}


@pytest.fixture
def costs(tmp_path):
    file = tmp_path / "model.toml"
    file.write_text(SHAPE)
    return file


def test_more_ranks_hold_fewer_experts_each(costs):
    found = rows(costs, "--ep", "1,2,4")
    assert sorted(found) == [1, 2, 4]
    assert len({row["step_ns"] for row in found.values()}) == 1
    own = rows(costs)[None]
    assert own["peak_bytes"] == found[2]["peak_bytes"]
    fewer = 16 // 2 - 16 // 4  # experts a rank no longer holds with 4 for 2: parameters, gradients
    held = LAYERS_OF_A_STAGE * fewer * EXPERT * (2 + 4)
    assert found[2]["peak_bytes"][0] - found[4]["peak_bytes"][0] == held


def test_what_does_not_divide_is_left_out_or_refused(costs):
    assert sorted(rows(costs, "--ep", "2,8")) == [2]  # a stage has four ranks
    for more, says in (("3", "16 experts cannot be shared among 3"), ("8", "do not divide the 4")):
        result = plan(costs, "--ep", more)
        assert isinstance(result.exception, DpprofError)
        assert says in str(result.exception)


def test_measured_costs_know_no_other_sharing():
    result = plan("deepseek-v3", "--ep", "4")
    assert isinstance(result.exception, DpprofError)
    assert "nobody measured" in str(result.exception)


def test_the_table_says_it(costs):
    assert "EP: ranks that share the experts" in plan(costs, "--ep", "2").output
