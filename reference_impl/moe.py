"""Mixture of experts: routing, the order tokens are sent in, the experts, and the merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_impl.operators import Operators


@dataclass(frozen=True)
class Routing:
    """Which copies of which tokens go where; a row is one copy of a token for one expert.

    Rows ``[tokens * top_k]`` are sent sorted by expert, so those for one rank lie together.
    """

    order: Tensor
    """Row in send order -> row in token order (``token * top_k + choice``)."""
    inverse: Tensor
    """Row in token order -> row in send order."""
    counts: Tensor
    """Rows for each expert (all experts of the layer)."""


def route(x: Tensor, router: Tensor, top_k: int, operators: Operators) -> tuple[Tensor, Tensor]:
    """Weights (that add up to 1) and numbers of each token's experts, both ``[tokens, top_k]``.

    Sigmoid scores as in DeepSeek-V3, at least in single precision; the gradient reaches the router
    through the weights.
    """
    logits = operators.linear(x, router)
    scores = torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    best = scores.topk(top_k, dim=-1)
    weights = best.values / best.values.sum(dim=-1, keepdim=True)
    return weights.to(x.dtype), best.indices


def plan_routing(chosen: Tensor, experts: int) -> Routing:
    """Sort the rows of ``chosen [tokens, top_k]`` by expert; waits for nothing on the device."""
    expert = chosen.flatten()
    order = expert.argsort(stable=True)
    positions = torch.arange(len(order), device=order.device)
    inverse = torch.empty_like(order).scatter_(0, order, positions)
    counts = order.new_zeros(experts).scatter_add_(0, expert, torch.ones_like(expert))
    return Routing(order, inverse, counts)


def rows_to_send(x: Tensor, routing: Routing) -> Tensor:
    """Copies of ``x [tokens, hidden]`` in send order, ``[tokens * top_k, hidden]``."""
    top_k = len(routing.order) // len(x)
    return _Permute.apply(x.repeat_interleave(top_k, dim=0), routing.order, routing.inverse)


def weighted_sum(returned: Tensor, weights: Tensor, routing: Routing) -> Tensor:
    """Merge the rows that came back, in send order, into ``[tokens, hidden]``."""
    rows = _Permute.apply(returned, routing.inverse, routing.order)
    return (rows.unflatten(0, weights.shape) * weights.unsqueeze(-1)).sum(dim=1)


def gated_mlp(x: Tensor, gate_up: Tensor, down: Tensor, operators: Operators) -> Tensor:
    """SwiGLU of the shared expert."""
    return operators.linear(_gate(operators.linear(x, gate_up)), down)


def experts(
    rows: Tensor, counts: list[list[int]], weights: Mapping[str, Tensor], operators: Operators
) -> Tensor:
    """Every received row through its expert; the results in the order the rows came in.

    Rows came in by source rank and within it by expert: ``counts[source][expert]``.
    """
    totals = [sum(column) for column in zip(*counts, strict=True)]
    grouped = _swap_blocks(rows, counts)
    inner = _gate(operators.grouped_linear(grouped, weights["expert_gate_up"], totals))
    result = operators.grouped_linear(inner, weights["expert_down"], totals)
    return _swap_blocks(result, [list(column) for column in zip(*counts, strict=True)])


def _gate(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def _swap_blocks(rows: Tensor, counts: list[list[int]]) -> Tensor:
    """Reorder blocks of rows from [outer][inner] to [inner][outer]."""
    if len(counts) == 1 or len(counts[0]) == 1:
        return rows
    blocks = rows.split([count for inner in counts for count in inner])
    width = len(counts[0])
    return torch.cat([block for inner in range(width) for block in blocks[inner::width]])


class _Permute(torch.autograd.Function):
    """Rows in another order; the backward is the inverse order, not a scattered addition."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.inverse = inverse
        return x[order]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.inverse], None, None
