"""Which experts a token goes to: DeepSeek-V3's router, its balancing without a loss, and none."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.operators import Operators


class RoutingChoice(NamedTuple):
    """Each token's experts and their weights, both ``[tokens, top_k]``."""

    weights: Tensor
    experts: Tensor


def choose_experts(
    x: Tensor, router: Tensor, bias: Tensor, config: ModelConfig, operators: Operators
) -> RoutingChoice:
    """Experts of each token of ``x [tokens, hidden]``; weights add up to `route_scale`.

    Scores are sigmoids, at least in single precision (DeepSeek-V3 technical report, section
    2.1.2). `bias` ``[experts]`` only has a say in who is chosen; gradients reach the router through
    the weights. With balanced routing everybody is chosen equally often, whatever the scores.
    """
    logits = operators.linear(x, router)
    scores = torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    if config.routing == "balanced":
        experts = balanced_choice(len(x), config, x.device)
    else:
        with torch.no_grad():
            experts = best_experts(scores.detach() + bias, config)
    chosen = scores.gather(1, experts)
    weights = chosen / chosen.sum(dim=-1, keepdim=True) * config.route_scale
    return RoutingChoice(weights.to(x.dtype), experts)


def best_experts(scores: Tensor, config: ModelConfig) -> Tensor:
    """The `top_k` best of the `top_groups` best groups of experts, ``[tokens, top_k]``.

    A group is as good as the sum of its two best (section 2.1.2, node-limited routing).
    """
    if config.top_groups < config.expert_groups:
        groups = scores.unflatten(-1, (config.expert_groups, -1))
        of_groups = groups.topk(min(2, groups.shape[-1]), dim=-1).values.sum(dim=-1)
        best = of_groups.topk(config.top_groups, dim=-1).indices
        left_out = torch.ones_like(of_groups, dtype=torch.bool).scatter_(1, best, False)
        scores = groups.masked_fill(left_out.unsqueeze(-1), -torch.inf).flatten(1)
    return scores.topk(config.top_k, dim=-1).indices


def balanced_choice(tokens: int, config: ModelConfig, device: torch.device) -> Tensor:
    """Experts dealt out like cards, as DeepSeek does for its published profile."""
    cards = torch.arange(tokens * config.top_k, device=device) % config.experts
    return cards.view(tokens, config.top_k)


def balanced_counts(tokens: int, config: ModelConfig) -> list[int]:
    """Rows for each expert under `balanced_choice`, known without asking the device."""
    rows, left = divmod(tokens * config.top_k, config.experts)
    return [rows + (expert < left) for expert in range(config.experts)]


def update_bias(bias: Tensor, load: Tensor, speed: float) -> None:
    """After a step: raise the bias of experts below the mean load by `speed`, lower the others'.

    `load` is the step's rows for each expert over all ranks (section 2.1.2, auxiliary-loss-free
    load balancing). Both ``[..., experts]``.
    """
    load = load.to(bias.dtype)
    bias += speed * torch.sign(load.mean(dim=-1, keepdim=True) - load)
