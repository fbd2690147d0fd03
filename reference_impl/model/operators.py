"""Matrix products with weights, in the two ways a backward can be run: whole, or in two parts.

Layers are written once against `Operators`. With `PLAIN` they are ordinary autograd. With
`deferred(parts)` a backward computes input gradients only (part I) and leaves, in the list
`parts`, a function for each weight gradient, to be called when part W is due.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dpprof.reference.model.grouped import (
    RowGroups,
    add_grouped_weight_gradient,
    add_product,
    grouped_input_gradient,
    grouped_linear,
)

Function = Callable[..., Tensor]

WeightParts = list[Callable[[], None]]
"""What part W has to call."""


class Operators(NamedTuple):
    """The operations that own weights, and what fuses those that own none."""

    linear: Callable[[Tensor, Tensor], Tensor]
    """``(x [..., inputs], weight [outputs, inputs]) -> [..., outputs]``."""
    grouped_linear: Callable[[Tensor, Tensor, RowGroups], Tensor]
    """``(x [rows, inputs], weight [groups, outputs, inputs], groups) -> [rows, outputs]``:
    consecutive rows share the weight of their group."""
    embedding: Callable[[Tensor, Tensor], Tensor]
    """``(tokens [...], weight [vocab, hidden]) -> [..., hidden]``."""
    fused: Callable[[Function], Function]
    """A function of tensors, element by element, as it is or compiled."""


def unfused(function: Function) -> Function:
    """The function as it is."""
    return function


@cache
def compiled(function: Function) -> Function:
    """The function through torch.compile, one kernel for what would be several; made once."""
    whole: Function = torch.compile(function, dynamic=True)
    return whole


PLAIN = Operators(F.linear, grouped_linear, F.embedding, unfused)
"""Ordinary autograd: one backward computes input and weight gradients."""


def deferred(parts: WeightParts, fused: Callable[[Function], Function] = unfused) -> Operators:
    """Operators whose backward puts the weight gradients off into `parts`."""
    return Operators(
        partial(_call, _DeferredLinear, parts),
        partial(_call, _DeferredGroupedLinear, parts),
        partial(_call, _DeferredEmbedding, parts),
        fused,
    )


def run_weight_parts(parts: WeightParts) -> None:
    """Part W: add the weight gradients that were put off, and let go of what they needed."""
    with torch.no_grad():
        for part in parts:
            part()
    parts.clear()


def _call(function: type[torch.autograd.Function], parts: WeightParts, *args: Any) -> Tensor:
    return function.apply(parts, *args)


# The weight is an input of each function, although its gradient is given as None, so that the
# output needs a gradient even where the activations do not (the embedding). What is put off keeps
# activations without their history, so that part I frees the graph.


class _DeferredLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: WeightParts, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.parts, ctx.weight = parts, weight
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        (x,) = ctx.saved_tensors
        ctx.parts.append(partial(_add_linear, ctx.weight, x.detach(), gradient))
        return None, gradient @ ctx.weight, None


class _DeferredGroupedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, parts: WeightParts, x: Tensor, weight: Tensor, groups: RowGroups
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.parts, ctx.weight, ctx.groups = parts, weight, groups
        return grouped_linear(x, weight, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        (x,) = ctx.saved_tensors
        gradient = gradient.contiguous()
        ctx.parts.append(partial(_add_grouped_linear, ctx.weight, x.detach(), gradient, ctx.groups))
        return None, grouped_input_gradient(gradient, ctx.weight, ctx.groups), None, None


class _DeferredEmbedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: WeightParts, tokens: Tensor, weight: Tensor) -> Tensor:
        ctx.parts, ctx.weight, ctx.tokens = parts, weight, tokens
        return F.embedding(tokens, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.parts.append(partial(_add_embedding, ctx.weight, ctx.tokens, gradient))
        return None, None, None


def _add_linear(weight: Tensor, x: Tensor, gradient: Tensor) -> None:
    add_product(gradient_of(weight), gradient.flatten(0, -2), x.flatten(0, -2))


def _add_grouped_linear(weight: Tensor, x: Tensor, gradient: Tensor, groups: RowGroups) -> None:
    add_grouped_weight_gradient(gradient_of(weight), gradient, x, groups)


def _add_embedding(weight: Tensor, tokens: Tensor, gradient: Tensor) -> None:
    total = gradient_of(weight)
    total.index_add_(0, tokens.flatten(), gradient.flatten(0, -2).to(total.dtype))


def gradient_of(weight: Tensor) -> Tensor:
    """Where a parameter's gradient adds up: ``main_grad``, in higher precision, or ``grad``."""
    total = getattr(weight, "main_grad", weight.grad)
    if total is None:
        total = weight.grad = torch.zeros_like(weight)
    return total
