"""The plain model in one process: what every pipelined run must equal.

Ordinary autograd, no segments, nothing deferred, nothing sent; it shares with the pipelined model
only the mathematics of a layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from reference_impl.config import ModelConfig
from reference_impl.data import Batch, make_batch
from reference_impl.layer import before_dispatch, merge, mlp, summed_loss
from reference_impl.operators import PLAIN
from reference_impl.stage import StageModel, make_stage


class StepResult(NamedTuple):
    """Mean loss of a step's tokens, and the gradient of every parameter of the whole model."""

    loss: float
    gradients: dict[str, torch.Tensor]


def unpipelined_step(
    config: ModelConfig, micro_batches: int, ep: int = 1, step: int = 0
) -> StepResult:
    """Loss and gradients of one step over all micro-batches of `ep` ranks, on the CPU.

    Parameters are the initial ones, named as in `make_parameters`; experts are all there.
    """
    layers, experts = range(config.layers), range(config.experts)
    model = make_stage(config, layers, experts, None, torch.device("cpu"))
    tokens = config.tokens_per_step(micro_batches, ep)
    total = 0.0
    for micro_batch in range(micro_batches):
        for ep_rank in range(ep):
            loss = _loss(model, make_batch(config, step, micro_batch, ep_rank)) / tokens
            loss.backward()
            total += loss.item()
    named = model.parameters.named
    return StepResult(total, {name: value.grad for name, value in named.items()})


def _loss(model: StageModel, batch: Batch) -> torch.Tensor:
    x = F.embedding(batch.tokens, model.parameters.named["embedding"])
    for weights in model.weights:
        parts, routing = before_dispatch(x, weights, model.rotary, model.config, PLAIN)
        counts = [routing.counts.tolist()]  # one source, and every expert is here
        results = mlp(parts["rows"], parts["local"], counts, weights, PLAIN)
        sent = {"returned": results["results"], "shared": results["shared"]}
        x = merge(parts | sent, routing)
    return summed_loss(x, batch.targets, model.parameters.named, PLAIN)
