"""Causal attention by torch's best kernel that can do it forth and back, asked once per shape."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

FALLBACKS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
)
"""Without cuDNN, torch's first choice on Hopper, which has no plan for some head sizes."""

Shape = tuple[int, ...]


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``[batch, heads, sequence, size]`` each; `value` may have another size."""
    with _kernels(query, key, value):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def _kernels(query: Tensor, key: Tensor, value: Tensor) -> AbstractContextManager[Any]:
    if not query.is_cuda:
        return nullcontext()
    shapes = (tuple(query.shape), tuple(key.shape), tuple(value.shape))
    works = default_works(shapes, query.dtype, query.device)
    return nullcontext() if works else sdpa_kernel(list(FALLBACKS))


@cache
def default_works(
    shapes: tuple[Shape, Shape, Shape], dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether the kernel that torch would take computes output and gradients of these shapes.

    cuDNN finds out only when it looks for a plan, and for the backward only in the backward.
    """
    with torch.enable_grad():
        inputs = [torch.zeros(shape, dtype=dtype, device=device) for shape in shapes]
        leaves = [each.requires_grad_() for each in inputs]
        try:
            query, key, value = leaves
            output = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            torch.autograd.grad(output, leaves, torch.zeros_like(output))
        except RuntimeError:
            return False
    return True
