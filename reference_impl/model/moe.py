"""Mixture of experts: the order tokens are sent in, the experts, and the merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dpprof.reference.model.exchange import ExchangePlan
from dpprof.reference.model.operators import Operators


@dataclass(frozen=True)
class Routing:
    """Which copies of which tokens go where; a row is one copy of a token for one expert.

    Rows are sent sorted by expert, so those for one rank lie together. Without a capacity there
    are ``tokens * top_k`` of them. With one, every expert has as many places, whether they are
    taken or not: places that are free, and rows that found none, are marked by an index one too
    large on the other side.
    """

    order: Tensor
    """Row in send order -> row in token order (``token * top_k + choice``)."""
    inverse: Tensor
    """Row in token order -> row in send order."""
    counts: Tensor
    """Rows for each expert slot of the layer, those without a place included."""
    capacity: int = 0
    """Places for each expert slot; 0 where every row has one."""


def plan_routing(chosen: Tensor, slots: int, capacity: int = 0) -> Routing:
    """Sort the rows of ``chosen [tokens, top_k]`` by expert slot; waits for nothing on the device.

    With a `capacity`, the first rows of every slot, in the order of the tokens, get its places.
    """
    expert = chosen.flatten()
    order = expert.argsort(stable=True)
    positions = torch.arange(len(order), device=order.device)
    counts = order.new_zeros(slots).scatter_add_(0, expert, torch.ones_like(expert))
    if not capacity:
        inverse = torch.empty_like(order).scatter_(0, order, positions)
        return Routing(order, inverse, counts)
    sorted_expert = expert[order]
    within = positions - (counts.cumsum(0) - counts)[sorted_expert]
    places = slots * capacity
    place = torch.where(within < capacity, sorted_expert * capacity + within, places)
    taken = order.new_full((places + 1,), len(order)).scatter_(0, place, order)[:places]
    inverse = torch.empty_like(order).scatter_(0, order, place)
    return Routing(taken, inverse, counts, capacity)


def rows_to_send(x: Tensor, routing: Routing) -> Tensor:
    """Copies of ``x [tokens, hidden]`` in send order; free places hold zeros."""
    top_k = len(routing.inverse) // len(x)
    return _Copy.apply(x, top_k, routing.order, routing.inverse, bool(routing.capacity))


def weighted_sum(returned: Tensor, weights: Tensor, routing: Routing) -> Tensor:
    """Merge the rows that came back, in send order, into ``[tokens, hidden]``.

    A row that found no place adds nothing to its token.
    """
    rows = _Move.apply(returned, routing.inverse, routing.order, bool(routing.capacity))
    return (rows.unflatten(0, weights.shape) * weights.unsqueeze(-1)).sum(dim=1)


def gated_mlp(x: Tensor, gate_up: Tensor, down: Tensor, operators: Operators) -> Tensor:
    """SwiGLU of the shared expert."""
    return operators.linear(operators.fused(_gate)(operators.linear(x, gate_up)), down)


def experts(
    rows: Tensor, plan: ExchangePlan, weights: Mapping[str, Tensor], operators: Operators
) -> Tensor:
    """Every received row through its expert; the results in the order the rows came in.

    Rows came in by source rank and within it by expert: ``plan.counts[source][expert]``.
    """
    grouped = _swap_blocks(rows, plan.counts)
    gate_up = operators.grouped_linear(grouped, weights["expert_gate_up"], plan.groups)
    inner = operators.fused(_gate)(gate_up)
    result = operators.grouped_linear(inner, weights["expert_down"], plan.groups)
    return _swap_blocks(result, [list(column) for column in zip(*plan.counts, strict=True)])


def _gate(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def _swap_blocks(rows: Tensor, counts: list[list[int]]) -> Tensor:
    """Reorder blocks of rows from [outer][inner] to [inner][outer]."""
    if len(counts) == 1 or len(counts[0]) == 1:
        return rows
    width = len(counts[0])
    if len({count for inner in counts for count in inner}) == 1:  # one kernel, not one a block
        return rows.unflatten(0, (len(counts), width, -1)).transpose(0, 1).flatten(0, 2)
    blocks = rows.split([count for inner in counts for count in inner])
    return torch.cat([block for inner in range(width) for block in blocks[inner::width]])


class _Copy(torch.autograd.Function):
    """Tokens to the places of their copies, in one step; a token's gradient is its copies' sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top_k: int, take: Tensor, back: Tensor, gaps: bool) -> Tensor:
        ctx.top_k, ctx.back, ctx.gaps = top_k, back, gaps
        return _take(x, take // top_k, gaps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        copies = _take(gradient, ctx.back, ctx.gaps)
        return copies.unflatten(0, (-1, ctx.top_k)).sum(dim=1), None, None, None, None


class _Move(torch.autograd.Function):
    """Rows to other places; the backward is the way back, not a scattered addition.

    `gaps` says that the indices may point one behind the last row: there is nothing there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, take: Tensor, back: Tensor, gaps: bool) -> Tensor:
        ctx.back, ctx.gaps = back, gaps
        return _take(x, take, gaps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _take(gradient, ctx.back, ctx.gaps), None, None, None


def _take(x: Tensor, index: Tensor, gaps: bool) -> Tensor:
    if not gaps:
        return x[index]
    nothing = (index == len(x)).unsqueeze(-1)
    return x[index.clamp(max=len(x) - 1)].masked_fill_(nothing, 0)
