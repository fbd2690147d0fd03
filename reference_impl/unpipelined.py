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
from reference_impl.exchange import ExchangePlan, plan_exchange
from reference_impl.layer import before_dispatch, merge, mlp, summed_loss
from reference_impl.moe import Routing
from reference_impl.operators import PLAIN
from reference_impl.stage import StageModel, make_stage

CPU = torch.device("cpu")


class StepResult(NamedTuple):
    """Mean loss of a step's tokens, and the gradient of every parameter of the whole model."""

    loss: float
    gradients: dict[str, torch.Tensor]


def unpipelined_step(
    config: ModelConfig,
    micro_batches: int,
    ep: int = 1,
    step: int = 0,
    device: torch.device = CPU,
) -> StepResult:
    """Loss and gradients of one step over all micro-batches of `ep` ranks.

    Parameters are the initial ones, named as in `make_parameters`; experts are all there.
    """
    layers, experts = range(config.layers), range(config.held_experts)
    model = make_stage(config, layers, experts, device)
    tokens = config.tokens_per_step(micro_batches, ep)
    total = 0.0
    for micro_batch in range(micro_batches):
        for ep_rank in range(ep):
            batch = make_batch(config, step, micro_batch, ep_rank)
            loss = _loss(model, Batch(*(values.to(device) for values in batch))) / tokens
            loss.backward()
            total += loss.item()
    named = model.parameters.named
    return StepResult(total, {name: value.grad for name, value in named.items()})


def plan_here(routing: Routing, config: ModelConfig) -> ExchangePlan:
    """The plan where nothing is sent: one source, and every expert is here."""
    counts = torch.full_like(routing.counts, config.capacity) if config.capacity else routing.counts
    return plan_exchange(counts, None, config.looped_ep)


def _loss(model: StageModel, batch: Batch) -> torch.Tensor:
    x = F.embedding(batch.tokens, model.parameters.named["embedding"])
    for layer in model.layers:
        parts, routing = before_dispatch(x, layer, PLAIN)
        plan = plan_here(routing, layer.config)
        results = mlp(parts["rows"], parts["local"], plan, layer.weights, PLAIN)
        sent = {"returned": results["results"], "shared": results["shared"]}
        x = merge(parts | sent, routing)
    return summed_loss(x, batch.targets, model.parameters.named, PLAIN)
