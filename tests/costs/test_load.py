"""Cost profiles by name and from files; what is wrong with one is said with its place."""

from __future__ import annotations

import re

import pytest

from dpprof.costs import builtin_costs, costs_to_json, load_costs
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.errors import DpprofError


def test_every_built_in_profile_loads_under_its_name():
    assert builtin_costs() == ("deepseek-v3", "unit", "unit-components")
    for name in builtin_costs():
        profile = load_costs(name)
        assert profile.name == name
        assert profile.source


def test_unit_costs():
    profile = load_costs("unit")
    assert profile.operation_ns == {
        "F": 10_000_000,
        "B": 20_000_000,
        "I": 10_000_000,
        "W": 10_000_000,
        "F&B": 25_000_000,
    }
    assert (profile.layers, profile.message, profile.component_ns) == (2, MessageCost(), {})


def test_json_is_read_back_identically(tmp_path):
    profile = CostProfile(
        name="mine",
        source="measured",
        layers=3,
        component_ns={"F": {"attention": 5, "output": 1}},
        pair_component_ns={"W": {"mlp": 7}},
        operation_ns={"F&B": 9},
        message=MessageCost(bytes=10, latency_ns=3, bytes_per_second=1e9),
        memory=MemoryCost(activation_bytes=4),
        tokens_per_micro_batch=4096,
    )
    file = tmp_path / "mine.json"
    file.write_text(costs_to_json(profile))
    assert load_costs(str(file)) == profile


def test_toml_reads_like_json(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\n[operation_ns]\nF = 5\n"F&B" = 8\n[message]\nbytes = 100\n'
        "bytes_per_second = 1e9\n"
    )
    assert load_costs(str(file)) == CostProfile(
        name="mine",
        operation_ns={"F": 5, "F&B": 8},
        message=MessageCost(bytes=100, bytes_per_second=1e9),
    )
    assert load_costs(str(file)).message.duration_ns == 100


WRONG = {
    '{"name": "x", "colour": 1}': "unknown key 'colour'; known here are name, source, layers",
    '{"name": "x", "message": {"byte": 1}}': (
        "unknown key 'message.byte'; known here are bytes, latency_ns, bytes_per_second"
    ),
    '{"name": "x", "memory": {"kv": 1}}': "unknown key 'memory.kv'; known here are parameter_bytes",
    '{"name": "x", "operation_ns": {"G": 1}}': (
        "unknown key 'operation_ns.G'; known here are F, B, I, W, F&B"
    ),
    '{"name": "x", "component_ns": {"B": {}}}': (
        "unknown key 'component_ns.B'; known here are F, I, W"
    ),
    '{"name": "x", "pair_component_ns": {"F": {"moe": 1}}}': (
        "unknown key 'pair_component_ns.F.moe'; known here are attention, dispatch, mlp, combine"
    ),
    '{"operation_ns": {"F": 1}}': "missing required field `name`",
    '{"name": "x", "operation_ns": {"F": "1"}}': "Expected `int`, got `str` - at `$.operation_ns",
    '{"name": "x", "operation_ns": {"F": true}}': "Expected `int`, got `bool`",
    '{"name": "x", "operation_ns": [1]}': "Expected `object`, got `array`",
    '{"name": "x", "operation_ns": {"F": -1}}': "operation_ns.F is -1; give a number from 0 to",
    '{"name": "x", "operation_ns": {"F": 1000000000001}}': "operation_ns.F is 1000000000001; give",
    '{"name": "x", "component_ns": {"I": {"mlp": -5}}}': "component_ns.I.mlp is -5; give",
    '{"name": "x", "operation_ns": {"F": 1}, "layers": 0}': "layers is 0; give a number from 1",
    '{"name": "x", "operation_ns": {"F": 1}, "message": {"latency_ns": -1}}': (
        "message.latency_ns is -1; give"
    ),
    '{"name": "x", "operation_ns": {"F": 1}, "message": {"bytes": -1}}': "message.bytes is -1",
    '{"name": "x", "operation_ns": {"F": 1}, "message": {"bytes_per_second": 0}}': (
        "message.bytes_per_second is 0.0; give a number above 0"
    ),
    '{"name": "x", "operation_ns": {"F": 1}, "message": {"bytes": 9, "bytes_per_second": 1e-9}}': (
        "one message takes over 1000 seconds; raise it"
    ),
    '{"name": "x", "operation_ns": {"F": 1}, "memory": {"activation_bytes": 2e30}}': (
        "activation_bytes"
    ),
    '{"name": "x", "operation_ns": {"F": 1}, "tokens_per_micro_batch": 0}': (
        "tokens_per_micro_batch is 0; give a number from 1"
    ),
    '{"name": "x", "message": {"latency_ns": 5}}': "nothing in it takes any time; give",
    '{"name": "x"': "not JSON",
    "[]": "Expected `object`, got `array`",
    '{"name": "x", "operation_ns": {"F": NaN}}': "Expected `int`",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_files_are_refused_with_the_place(tmp_path, text):
    file = tmp_path / "costs.json"
    file.write_text(text)
    with pytest.raises(DpprofError, match=re.escape(WRONG[text])) as error:
        load_costs(str(file))
    assert str(file) in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(
        DpprofError, match=r"nowhere: no cost profile .* built in are deepseek-v3, "
    ):
        load_costs("nowhere")
    with pytest.raises(DpprofError, match="a folder, not a cost profile"):
        load_costs(str(tmp_path))
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(DpprofError, match="not TOML"):
        load_costs(str(tmp_path / "broken.toml"))
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DpprofError, match="not JSON"):
        load_costs(str(tmp_path / "binary.json"))
