"""The plain model in one process: what every pipelined run must equal.

Ordinary autograd, no segments, nothing deferred, nothing sent; it shares with the pipelined model
only the mathematics of a layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.data import Batch, make_batch
from dpprof.reference.model.exchange import ExchangePlan, plan_exchange
from dpprof.reference.model.layer import before_dispatch, merge, mlp, summed_loss
from dpprof.reference.model.moe import Routing
from dpprof.reference.model.operators import PLAIN, gradient_of
from dpprof.reference.model.routing import update_bias
from dpprof.reference.model.stage import StageModel, make_stage

CPU = torch.device("cpu")


class StepResult(NamedTuple):
    """Mean loss of a step's tokens, and the gradient of every parameter of the whole model."""

    loss: float
    gradients: dict[str, torch.Tensor]


def unpipelined_step(
    config: ModelConfig,
    micro_batches: int,
    data_ranks: int = 1,
    step: int = 0,
    device: torch.device = CPU,
) -> StepResult:
    """Loss and gradients of one step over all micro-batches of `data_ranks` ranks.

    Parameters are the initial ones, named as in `make_parameters`; experts are all there.
    """
    model = whole_model(config, device)
    loss = _accumulate(model, micro_batches, data_ranks, step)
    return StepResult(loss, model.parameters.gradients)


def unpipelined_training(
    config: ModelConfig, micro_batches: int, data_ranks: int, steps: int
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of `steps` steps from the start on, and the parameters after them, on the CPU."""
    model = whole_model(config, CPU)
    optimizer = torch.optim.AdamW(model.parameters.named.values(), lr=config.learning_rate)
    losses = []
    for step in range(steps):
        model.parameters.clear_gradients()
        model.load.zero_()
        losses.append(_accumulate(model, micro_batches, data_ranks, step))
        optimizer.step()
        update_bias(model.bias, model.load, config.bias_speed)
    return losses, {name: value.detach() for name, value in model.parameters.named.items()}


def whole_model(config: ModelConfig, device: torch.device) -> StageModel:
    """All layers with all experts."""
    return make_stage(config, range(config.layers), range(config.held_experts), device)


def _accumulate(model: StageModel, micro_batches: int, data_ranks: int, step: int) -> float:
    """Add the gradients of a step's mean loss; gives the loss."""
    tokens = model.config.tokens_per_step(micro_batches, data_ranks)
    device = model.load.device
    total = 0.0
    for micro_batch in range(micro_batches):
        for data_rank in range(data_ranks):
            batch = make_batch(model.config, step, micro_batch, data_rank)
            loss = _loss(model, Batch(*(values.to(device) for values in batch))) / tokens
            loss.backward()
            _keep_in_full(model)
            total += loss.item()
    return total


def _keep_in_full(model: StageModel) -> None:
    """Add what autograd has left in a parameter's own type to where gradients add up."""
    for value in model.parameters.named.values():
        total = gradient_of(value)
        if value.grad is not None and value.grad is not total:
            total += value.grad
            value.grad = None


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
