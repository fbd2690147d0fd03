"""Real processes over gloo, with lanes and messages, train what one process trains."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dpprof.reference.model.unpipelined import unpipelined_training
from dpprof.reference.runtime.mesh import Mesh

WORKER = Path(__file__).with_name("model_worker.py")

SCHEDULES = ("gpipe", "1f1b", "zb1p", "dualpipe", "dualpipev", "interleaved-1f1b", "zbv")


def case(label, config, schedule="1f1b", pp=2, dp=1, ep=1, steps=1):
    micro_batches = 4 * pp if schedule == "dualpipe" else 2 * pp
    return {
        "label": label,
        "schedule": schedule,
        "micro_batches": micro_batches,
        "pp": pp,
        "dp": dp,
        "ep": ep,
        "sizes": config.to_json(),
        "steps": steps,
    }


def train(folder, cases):
    """What the ranks have in the end, by case: (losses, gradients, parameters) of each."""
    world_size = cases[0]["pp"] * cases[0]["dp"] * cases[0]["ep"]
    result = subprocess.run(
        [sys.executable, str(WORKER), str(folder), str(world_size), json.dumps(cases)],
        cwd=WORKER.parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {
        each["label"]: [
            torch.load(folder / f"{each['label']}.{rank}.pt") for rank in range(world_size)
        ]
        for each in cases
    }


def share_of(config, whole, names, ep_rank, ep):
    """What one expert-parallel rank must have of values of the whole model."""
    slots = config.ep_experts(ep_rank, ep)

    def own(name):
        if ".expert_" not in name:
            return whole[name]
        layer = int(name.split(".")[1])
        return whole[name][[config.expert_in(layer, slot) for slot in slots]]

    return {name: own(name) for name in names}


def check_step(config, case, ranks, reference, relative_error):
    """One step's loss and gradients against the unpipelined model's."""
    data_ranks = case["dp"] * case["ep"]
    plain = replace(config, expert_placement=())
    expected = reference(plain, case["micro_batches"], data_ranks)
    losses = [losses[0] for losses, _, _ in ranks if losses[0] is not None]
    assert losses == pytest.approx([expected.loss] * len(losses), rel=1e-12)
    assert len(losses) == (2 if case["schedule"] == "dualpipe" else 1) * data_ranks
    seen = set()
    for rank, (_, gradients, _) in enumerate(ranks):
        ep_rank = Mesh(case["pp"], case["ep"], rank, case["dp"]).ep_rank
        share = share_of(config, expected.gradients, gradients, ep_rank, case["ep"])
        assert relative_error(gradients, share) < 1e-10, (case["label"], rank)
        seen |= gradients.keys()
    assert seen == expected.gradients.keys()


def test_four_processes_equal_one(tmp_path, features, reference, relative_error):
    cases = [
        case("dualpipe", features["plain"], "dualpipe", ep=2),
        case("plain", features["plain"], ep=2),
        case("balanced", features["balanced"], ep=2),
        case("capacity", features["capacity"], ep=2),
        case("groups", features["groups"], ep=2),
        case("replicas", features["replicas"], ep=2),
        case("data-parallel", features["plain"], dp=2),
    ]
    results = train(tmp_path, cases)
    for each in cases:
        config = features.get(each["label"], features["plain"])
        check_step(config, each, results[each["label"]], reference, relative_error)


def test_steps_with_spread_optimizer_state_equal_plain_ones(tmp_path, exact_config):
    """ZeRO-1 over replicas and expert ranks, balancing biases, copies of experts: three steps."""
    config = replace(exact_config, layers=2, optimizer="adamw", bias_speed=0.01)
    copies = replace(config, expert_placement=((0, 1, 2, 3, 4, 5, 6, 7, 1, 6),) * 2)
    cases = [
        case("replicas", config, pp=1, dp=2, ep=2, steps=3),
        case("copies", copies, "dualpipe", pp=2, dp=1, ep=2, steps=3),
    ]
    results = train(tmp_path, cases)
    for each, own in zip(cases, (config, copies), strict=True):
        data_ranks = each["dp"] * each["ep"]
        losses, whole = unpipelined_training(config, each["micro_batches"], data_ranks, 3)
        for rank, (found, _, parameters) in enumerate(results[each["label"]]):
            assert None in found or found == pytest.approx(losses, rel=1e-9)
            share = share_of(own, whole, parameters, rank % each["ep"], each["ep"])
            torch.testing.assert_close(parameters, share, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("pp", "ep"), [(2, 1), (2, 2), (4, 1), (4, 2)])
def test_every_schedule(pp, ep, tmp_path, exact_config, reference, relative_error):
    cases = [case(name, exact_config, name, pp=pp, ep=ep) for name in SCHEDULES]
    results = train(tmp_path, cases)
    for each in cases:
        check_step(exact_config, each, results[each["label"]], reference, relative_error)


@pytest.mark.slow
def test_ranks_that_receive_no_token(tmp_path, exact_config, reference):
    """Two tokens a rank for one of four experts each: some exchanges are empty."""
    config = replace(exact_config, sequence=2, experts=4, top_k=1)
    cases = [case("empty", config, "dualpipe", ep=2)]
    expected = reference(config, 8, 2).gradients
    for rank, (_, gradients, _) in enumerate(train(tmp_path, cases)["empty"]):
        share = share_of(config, expected, gradients, rank % 2, 2)
        torch.testing.assert_close(gradients, share, rtol=1e-10, atol=1e-15)
