"""Costs from a model's shape: parameters that are published, and those of the reference model."""

from __future__ import annotations

import json

import pytest

from dpprof.costs.check import check_values
from dpprof.costs.load import load_costs
from dpprof.costs.shape import (
    DeviceRates,
    ModelShape,
    activation_bytes,
    costs_from_shape,
    layer_memory,
    parameter_count,
    read_shape,
)
from dpprof.costs.stages import model_layers, stage_memory
from dpprof.errors import DpprofError

V3 = ModelShape(
    name="deepseek-v3",
    layers=61,
    hidden=7168,
    heads=128,
    head_size=128,
    rope_size=64,
    query_rank=1536,
    key_value_rank=512,
    dense_layers=3,
    dense_size=18432,
    experts=256,
    top_k=8,
    expert_size=2048,
    shared_size=2048,
    vocab=129280,
    tokens=4096,
    sequence=4096,
    ep=64,
    dp=128,
    dp_experts=2,
    optimizer_bytes=8,
)
RATES = DeviceRates(
    operations_per_second=4e14, exchange_bytes_per_second=4e10, message_bytes_per_second=4e10
)


def test_deepseek_v3_has_671_billion_parameters():
    assert parameter_count(V3) == pytest.approx(671.0e9, rel=0.001)


def test_a_plain_transformer_has_twelve_h_squared_a_layer():
    plain = ModelShape(
        layers=10, hidden=512, heads=8, head_size=64, dense_size=1365, vocab=1000,
        tokens=128, sequence=128,
    )  # fmt: skip
    layers = parameter_count(plain) - 2 * 1000 * 512 - 512
    assert layers == pytest.approx(10 * 12 * 512**2, rel=0.01)


def test_parameters_are_those_of_the_reference_model():
    pytest.importorskip("torch", reason="the reference implementation needs torch")
    from dpprof.reference.model.presets import preset

    config = preset("tiny")
    shape = ModelShape(
        layers=config.layers,
        hidden=config.hidden,
        heads=config.heads,
        head_size=config.head_size,
        rope_size=config.rope_size,
        query_rank=config.query_rank,
        key_value_rank=config.key_value_rank,
        experts=config.experts,
        top_k=config.top_k,
        expert_size=config.expert_size,
        shared_size=config.shared_size,
        vocab=config.vocab,
        tokens=config.tokens_per_micro_batch,
        sequence=config.sequence,
    )
    assert parameter_count(shape) == config.parameter_count()


def test_memory_of_a_layer_is_that_of_the_built_in_profile():
    """deepseek-v3.json counts parameters of 4 experts a rank itself."""
    built_in = load_costs("deepseek-v3").memory
    own = layer_memory(V3, dense=False)
    assert own.parameter_bytes == pytest.approx(built_in.parameter_bytes, rel=0.01)
    assert own.gradient_bytes == pytest.approx(built_in.gradient_bytes, rel=0.01)
    assert own.optimizer_bytes == pytest.approx(built_in.optimizer_bytes, rel=0.02)


def test_activations_grow_with_tokens_and_routed_experts():
    one = activation_bytes(V3, dense=False)
    more = ModelShape(
        **{field: getattr(V3, field) for field in V3.__struct_fields__} | {"top_k": 9}
    )
    added = activation_bytes(more, dense=False) - one
    assert added == 2 * 4096 * (2 * 7168 + 3 * 2048)
    assert activation_bytes(V3, dense=True) < one


def test_the_profile_lists_the_model():
    costs = costs_from_shape(ModelShape(**_fields(V3) | {"mtp_layers": 1}), RATES)
    check_values(costs, "shape")
    assert model_layers(costs, 16) == 62
    names = [layer.name for layer in costs.model]
    assert names[:4] == ["dense with embedding", "dense", "dense", ""]
    assert names[-1] == "mtp with head"
    assert costs.model[1].component_ns["F"]["dispatch"] == 0
    assert costs.model[-1].component_ns["F"]["output"] > 0
    whole = stage_memory(costs, 1)[0]
    experts = 58 * 3 * 7168 * 2048 * 256 * 63 // 64 + 3 * 7168 * 2048 * 256 * 63 // 64
    count = parameter_count(ModelShape(**_fields(V3) | {"mtp_layers": 1}))
    assert whole.parameter_bytes == pytest.approx(2 * (count - experts), rel=0.001)


def _fields(shape):
    return {field: getattr(shape, field) for field in shape.__struct_fields__}


def test_a_file_with_a_shape_is_a_profile(tmp_path):
    rates = {field: getattr(RATES, field) for field in RATES.__struct_fields__}
    path = tmp_path / "v3.json"
    path.write_text(json.dumps({"shape": _fields(V3), "rates": rates}))
    assert load_costs(str(path)) == costs_from_shape(V3, RATES)
    path.write_text(json.dumps({"shape": _fields(V3), "rates": rates, "more": 1}))
    with pytest.raises(DpprofError, match="and nothing else"):
        load_costs(str(path))
    path.write_text(json.dumps({"shape": _fields(V3), "rates": rates | {"message_latency": 1}}))
    with pytest.raises(DpprofError, match="rates: "):
        load_costs(str(path))
    path.write_text(
        json.dumps({"shape": _fields(V3), "rates": rates | {"operations_per_second": 0}})
    )
    with pytest.raises(DpprofError, match="operations_per_second is 0"):
        load_costs(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden is 0"),
        ({"ep": 7}, "do not go with ep 7"),
        ({"experts": 0, "dense_size": 0}, "neither experts nor dense_size"),
        ({"colour": 1}, "not a model's shape"),
    ],
)
def test_odd_shapes_are_refused(change, message):
    with pytest.raises(DpprofError, match=message):
        read_shape(_fields(V3) | change, "shape.toml")
