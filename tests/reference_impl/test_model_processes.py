"""Real processes over gloo, with lanes and messages, train what one process trains."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
    (world_size,) = {each["pp"] * each["dp"] * each["ep"] for each in cases}
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


@pytest.fixture(scope="module")
def configs(features):
    """Those of the features, and some that only processes can tell from them."""
    adam = replace(features["plain"], layers=2, optimizer="adamw", bias_speed=0.01)
    copies = ((0, 1, 2, 3, 4, 5, 6, 7, 1, 6),) * 2
    few = replace(features["plain"], sequence=2, experts=4, top_k=1)
    return features | {
        "adam": adam,
        "adam copies": replace(adam, expert_placement=copies),
        "few tokens": few,
    }


@pytest.fixture(scope="module")
def four(configs, tmp_path_factory):
    """Everything that four processes are needed for, trained by one world of them."""
    plain = configs["plain"]
    cases = [
        *(case(f"{name} 2x2", plain, name, ep=2) for name in SCHEDULES),
        *(case(f"{name} 4x1", plain, name, pp=4) for name in SCHEDULES),
        *(case(name, configs[name], ep=2) for name in FEATURES),
        case("data-parallel", plain, dp=2),
        case("adam", configs["adam"], pp=1, dp=2, ep=2, steps=3),
        case("adam copies", configs["adam copies"], "dualpipe", ep=2, steps=3),
        case("few tokens", configs["few tokens"], "dualpipe", ep=2),
    ]
    results = train(tmp_path_factory.mktemp("four"), cases)
    return {
        each["label"]: SimpleNamespace(case=each, ranks=results[each["label"]]) for each in cases
    }


FEATURES = ("balanced", "capacity", "groups", "replicas")


@pytest.mark.parametrize("mesh", ["2x2", "4x1"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name, mesh, four, features, reference, relative_error):
    own = four[f"{name} {mesh}"]
    check_step(features["plain"], own.case, own.ranks, reference, relative_error)


@pytest.mark.parametrize("name", [*FEATURES, "data-parallel"])
def test_every_feature(name, four, features, reference, relative_error):
    own = four[name]
    config = features.get(name, features["plain"])
    check_step(config, own.case, own.ranks, reference, relative_error)


@pytest.mark.parametrize("name", ["adam", "adam copies"])
def test_steps_with_spread_optimizer_state_equal_plain_ones(name, four, configs):
    """ZeRO-1 over replicas and expert ranks, balancing biases, copies of experts: three steps."""
    own, ep = four[name], four[name].case["ep"]
    data_ranks = own.case["dp"] * ep
    losses, whole = unpipelined_training(configs["adam"], own.case["micro_batches"], data_ranks, 3)
    for rank, (found, _, parameters) in enumerate(own.ranks):
        assert None in found or found == pytest.approx(losses, rel=1e-9)
        share = share_of(configs[name], whole, parameters, rank % ep, ep)
        torch.testing.assert_close(parameters, share, rtol=1e-8, atol=1e-10)


def test_ranks_that_receive_no_token(four, configs, reference):
    """Two tokens a rank for one of four experts each: some exchanges are empty."""
    config = configs["few tokens"]
    expected = reference(config, 8, 2).gradients
    for rank, (_, gradients, _) in enumerate(four["few tokens"].ranks):
        share = share_of(config, expected, gradients, rank % 2, 2)
        torch.testing.assert_close(gradients, share, rtol=1e-10, atol=1e-15)


@pytest.mark.slow
def test_eight_processes_equal_one(tmp_path, exact_config, reference, relative_error):
    cases = [case(name, exact_config, name, pp=4, ep=2) for name in ("dualpipe", "zbv")]
    results = train(tmp_path, cases)
    for each in cases:
        check_step(exact_config, each, results[each["label"]], reference, relative_error)
