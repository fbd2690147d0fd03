"""Products of groups of rows with a weight each: PyTorch's grouped kernel, or one after the other.

`torch._grouped_mm` takes the groups' ends on the device, so nothing waits for counts, and it does
in one kernel what the loop does in two for every expert.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_ALIGNED = 8
"""Rows of the grouped kernel's operands start at multiples of 16 bytes: 8 values of 2."""

_FIRST_WITHOUT = 10
"""Compute capability from which the kernel's weight gradients of empty groups are not zero
(pytorch/pytorch issue 172439), so it is left alone there."""


class RowGroups(NamedTuple):
    """Consecutive rows that share a weight: how many there are of each group."""

    rows: list[int]
    ends: Tensor
    """Where each group ends, counted in rows: int32, on the device."""


def grouped_linear(x: Tensor, weight: Tensor, groups: RowGroups) -> Tensor:
    """``(x [rows, inputs], weight [groups, outputs, inputs]) -> [rows, outputs]``."""
    if _suits(x, weight):
        return torch._grouped_mm(x, weight.transpose(1, 2), offs=groups.ends)
    products = [F.linear(part, weight[g]) for g, part in enumerate(x.split(groups.rows))]
    return torch.cat(products)


def grouped_input_gradient(gradient: Tensor, weight: Tensor, groups: RowGroups) -> Tensor:
    """``(gradient [rows, outputs], weight [groups, outputs, inputs]) -> [rows, inputs]``."""
    if _suits(gradient, weight):
        return torch._grouped_mm(gradient, weight, offs=groups.ends)
    parts = zip(gradient.split(groups.rows), weight, strict=True)
    return torch.cat([part @ each for part, each in parts])


def add_grouped_weight_gradient(
    total: Tensor, gradient: Tensor, x: Tensor, groups: RowGroups
) -> None:
    """Add ``gradient.T @ x`` of every group to ``total [groups, outputs, inputs]``."""
    if _suits(gradient, x):
        total += torch._grouped_mm(gradient.t(), x, offs=groups.ends)
        return
    parts = zip(total, gradient.split(groups.rows), x.split(groups.rows), strict=True)
    for each, part_gradient, part in parts:
        add_product(each, part_gradient, part)


def add_product(total: Tensor, gradient: Tensor, x: Tensor) -> None:
    """Add ``gradient.T @ x`` to `total`, which may be of higher precision."""
    if total.dtype == x.dtype:
        total.addmm_(gradient.t(), x)
    else:
        total += gradient.t() @ x


def _suits(first: Tensor, second: Tensor) -> bool:
    return (
        first.dtype is torch.bfloat16
        and len(first) > 0
        and not any(tensor.shape[-1] % _ALIGNED for tensor in (first, second))
        and not (second.dim() == 3 and second.shape[1] % _ALIGNED)
        and _works(first.device)
    )


@cache
def _works(device: torch.device) -> bool:
    """Whether the grouped kernel exists here and runs: asked once, before anything is timed."""
    if not hasattr(torch, "_grouped_mm"):
        return False
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= _FIRST_WITHOUT:
        return False
    one = torch.ones(_ALIGNED, _ALIGNED, dtype=torch.bfloat16, device=device)
    ends = torch.full((1,), _ALIGNED, dtype=torch.int32, device=device)
    try:
        torch._grouped_mm(one, one.unsqueeze(0), offs=ends)
    except (RuntimeError, NotImplementedError):
        return False
    return True
