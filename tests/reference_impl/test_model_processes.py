"""Gradients and loss over real processes and real messages equal the unpipelined model's."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("model_worker.py")

SCHEDULES = ("gpipe", "1f1b", "zb1p", "dualpipe", "dualpipev", "interleaved-1f1b", "zbv")


def train(folder, pp, ep, config, cases):
    """Losses and gradients by schedule and rank."""
    words = [f"{name}:{micro_batches}" for name, micro_batches in cases]
    command = [sys.executable, str(WORKER), str(folder), str(pp), str(ep)]
    result = subprocess.run(
        [*command, json.dumps(config.to_json()), *words],
        cwd=WORKER.parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {
        name: [torch.load(folder / f"{name}.{rank}.pt") for rank in range(pp * ep)]
        for name, _ in cases
    }


def share_of(config, gradients, names, ep_rank, ep):
    """What one expert-parallel rank must have of the unpipelined gradients."""
    experts = config.ep_experts(ep_rank, ep)
    part = slice(experts.start, experts.stop)
    return {
        name: gradients[name][part] if ".expert_" in name else gradients[name] for name in names
    }


@pytest.mark.parametrize(
    ("pp", "ep", "names"),
    [
        pytest.param(2, 2, ("1f1b", "dualpipe"), id="2x2"),
        pytest.param(2, 1, SCHEDULES, id="2x1-all", marks=pytest.mark.slow),
        pytest.param(2, 2, SCHEDULES, id="2x2-all", marks=pytest.mark.slow),
        pytest.param(4, 1, SCHEDULES, id="4x1-all", marks=pytest.mark.slow),
        pytest.param(4, 2, SCHEDULES, id="4x2-all", marks=pytest.mark.slow),
    ],
)
def test_processes_equal_the_unpipelined_model(
    pp, ep, names, tmp_path, exact_config, reference, relative_error
):
    cases = [(name, 4 * pp if name == "dualpipe" else 2 * pp) for name in names]
    for (name, micro_batches), ranks in zip(
        cases, train(tmp_path, pp, ep, exact_config, cases).values(), strict=True
    ):
        expected = reference(exact_config, micro_batches, ep)
        losses = [loss for loss, _ in ranks if loss is not None]
        assert losses == pytest.approx([expected.loss] * len(losses), rel=1e-12)
        assert len(losses) == (2 if name == "dualpipe" else 1) * ep
        seen = set()
        for rank, (_, gradients) in enumerate(ranks):
            share = share_of(exact_config, expected.gradients, gradients, rank % ep, ep)
            assert relative_error(gradients, share) < 1e-10, (name, rank)
            seen |= gradients.keys()
        assert seen == expected.gradients.keys()


@pytest.mark.slow
def test_ranks_that_receive_no_token(tmp_path, exact_config, reference):
    """Two tokens a rank for one of four experts each: some exchanges are empty."""
    config = replace(exact_config, sequence=2, experts=4, top_k=1)
    ranks = train(tmp_path, 2, 2, config, [("dualpipe", 8)])["dualpipe"]
    expected = reference(config, 8, 2).gradients
    for rank, (_, gradients) in enumerate(ranks):
        share = share_of(config, expected, gradients, rank % 2, 2)
        torch.testing.assert_close(gradients, share, rtol=1e-10, atol=1e-15)
