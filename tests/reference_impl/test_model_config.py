"""Sizes: checks, counts, the plain form, and initial values that do not depend on the cut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from dpprof.errors import DpprofError
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.data import global_micro_batch, make_batch
from dpprof.reference.model.parameters import make_parameters
from dpprof.reference.model.presets import PRESETS, preset
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = preset(name)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "model size layers is 0; give a number from 1"),
        ({"heads": True}, "model size heads is True"),
        ({"top_k": 9}, "top_k 9 is more than the 8 experts"),
        ({"rope_size": 3}, "rope_size 3 is odd"),
        ({"dtype": "int8"}, "dtype 'int8' is not known; use one of float64, float32, bfloat16"),
        ({"optimizer": "lion"}, "optimizer 'lion' is not known; use one of adamw, sgd, none"),
    ],
)
def test_bad_sizes_are_refused(change, message):
    with pytest.raises(DpprofError, match=message):
        replace(preset("tiny"), **change)


def test_bad_json_is_refused():
    sizes = preset("tiny").to_json()
    with pytest.raises(DpprofError, match="unknown model size width; the known ones are bias_"):
        ModelConfig.from_json(sizes | {"width": 3})
    del sizes["hidden"]
    with pytest.raises(DpprofError, match=r"model sizes are incomplete .*'hidden'"):
        ModelConfig.from_json(sizes)


def test_unknown_preset_lists_the_known():
    with pytest.raises(DpprofError, match="no model preset 'huge'; the presets are tiny, small"):
        preset("huge")


@pytest.mark.parametrize(
    ("stages", "ep", "message"),
    [
        (3, 1, "16 layers do not divide by the schedule's 3 stages; use a multiple of 3"),
        (4, 3, "8 experts do not divide by --ep 3"),
    ],
)
def test_cuts_that_do_not_fit_are_refused(stages, ep, message):
    with pytest.raises(DpprofError, match=message):
        preset("tiny").check_parallel(stages, ep)


def test_counts():
    config = preset("tiny")
    whole = make_parameters(config, range(16), range(8), CPU)
    assert config.parameter_count() == sum(value.numel() for value in whole.named.values())
    assert config.tokens_per_step(micro_batches=6, data_ranks=2) == 6 * 2 * 16
    assert config.flops_per_step(6, 2) == config.flops_per_token() * 192


def test_operations_of_a_token_by_hand():
    config = ModelConfig(
        layers=1,
        hidden=4,
        heads=1,
        head_size=2,
        rope_size=2,
        query_rank=3,
        key_value_rank=3,
        experts=4,
        top_k=2,
        expert_size=5,
        shared_size=6,
        vocab=7,
        sequence=3,
        micro_batch=1,
    )
    projections = 4 * 3 + 3 * 4 + 4 * 5 + 3 * 4 + 2 * 4
    mlps = 4 * 4 + 3 * 4 * 6 + 2 * 3 * 4 * 5  # router, shared expert, two routed experts
    attended = 2 * (4 + 2) * 2  # queries with keys, weights with values; 2 tokens on average
    assert config.flops_per_token() == 3 * (2 * (projections + mlps + 7 * 4) + attended)


def test_initial_values_do_not_depend_on_the_cut():
    config = preset("tiny")
    whole = make_parameters(config, range(16), range(8), CPU).named
    part = make_parameters(config, range(4, 8), range(2, 6), CPU).named
    assert len(part) == 4 * 14
    for name, value in part.items():
        expected = whole[name][2:6] if "expert_" in name else whole[name]
        assert torch.equal(value, expected)


def test_ends_of_the_model_bring_their_parameters():
    config = preset("tiny")
    first = make_parameters(config, range(8), range(8), CPU).named
    last = make_parameters(config, range(8, 16), range(8), CPU).named
    assert first.keys() - {f"layers.{i}.{name}" for i in range(8) for name in config.shapes()} == {
        "embedding"
    }
    assert {name for name in last if "layers." not in name} == {"final_norm", "head"}


def test_data_is_the_same_for_everyone_and_differs_by_place():
    config = preset("tiny")
    batches = [make_batch(config, *place) for place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    again = make_batch(config, 0, 0, 0)
    assert torch.equal(batches[0].tokens, again.tokens)
    assert torch.equal(batches[0].tokens[:, 1:], batches[0].targets[:, :-1])
    assert len({tuple(batch.tokens.flatten().tolist()) for batch in batches}) == 4


def test_micro_batches_are_numbered_through_the_directions_of_dualpipe():
    dualpipe, dualpipev = make_schedule("dualpipe", 2, 8), make_schedule("dualpipev", 2, 8)
    assert [global_micro_batch(dualpipe, 1, k) for k in range(4)] == [4, 5, 6, 7]
    assert [global_micro_batch(dualpipev, 1, k) for k in range(4)] == [0, 1, 2, 3]
