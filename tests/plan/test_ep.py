"""Ranks that share the experts: what they hold and exchange, known from a model's shape alone."""

from __future__ import annotations

import json
import random
import statistics

import pytest
from click.testing import CliRunner

from dpprof.cli import cli
from dpprof.costs.load import load_costs
from dpprof.costs.shape import DeviceRates, ModelShape, exchange_seconds
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


def test_one_rate_says_no_times_of_another_sharing(costs):
    own, found = rows(costs)[None], rows(costs, "--ep", "1,2,4")
    assert found[2]["step_ns"] == own["step_ns"]
    for ep in (1, 4):
        assert {found[ep][key] for key in ("step_ns", "tokens_per_second", "bubble_share")} == {
            None
        }
        assert found[ep]["what_if"] is None
    table = plan(costs, "--ep", "2,4").output
    assert "EP 4: times are not known, as the exchange's one rate is that of EP 2" in table
    alone = plan(costs, "--ep", "4")
    assert alone.exit_code == 0
    assert "n/a" in alone.output


def test_with_the_links_of_a_machine_times_follow(costs):
    costs.write_text(SHAPE + "node_ranks = 2\nnode_exchange_bytes_per_second = 4e10\n")
    found = rows(costs, "--ep", "1,2,4")
    none, within, between = (found[ep]["step_ns"] for ep in (1, 2, 4))
    assert none < within < between
    profiles = {ep: load_costs(str(costs), ep).component_ns["F"] for ep in (1, 2, 4)}
    assert profiles[1]["dispatch"] == profiles[1]["combine"] == 0
    # Two of 16 experts: another rank is needed unless both are of the own half (or quarter).
    other = 1 - (8 * 7) / (16 * 15)
    assert profiles[2]["combine"] == pytest.approx(1024 * 512 * 2 * other / 4e10 * 1e9, abs=1)
    ranks = 3 * (1 - (12 * 11) / (16 * 15))
    slow, fast = other / 1e10, ranks / 4e10
    assert profiles[4]["combine"] == pytest.approx(1024 * 512 * 2 * max(slow, fast) * 1e9, abs=1)
    assert profiles[4]["mlp"] == profiles[1]["mlp"]


def test_machines_that_do_not_divide_are_refused(costs):
    costs.write_text(SHAPE + "node_ranks = 3\nnode_exchange_bytes_per_second = 4e10\n")
    assert "no multiple of rates.node_ranks 3" in str(plan(costs, "--ep", "4").exception)
    costs.write_text(SHAPE + "node_ranks = 2\n")
    assert "node_exchange_bytes_per_second is 0" in str(plan(costs, "--ep", "4").exception)


def test_tokens_go_to_as_many_ranks_as_a_draw_of_experts_says():
    """DeepSeek-V3 on 64 ranks, its experts drawn at random."""
    shape = ModelShape(
        layers=1, hidden=1, heads=1, head_size=1, experts=256, top_k=8, expert_size=1, vocab=1,
        tokens=1, sequence=1, ep=64,
    )  # fmt: skip
    rates = DeviceRates(
        operations_per_second=1, exchange_bytes_per_second=1, message_bytes_per_second=1
    )
    chance = random.Random(1)
    drawn = [{expert // 4 for expert in chance.sample(range(256), 8)} - {0} for _ in range(20000)]
    assert exchange_seconds(shape, rates) == pytest.approx(
        statistics.mean(map(len, drawn)), rel=0.005
    )
