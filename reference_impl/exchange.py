"""The all-to-all of expert parallelism: token counts first, then rows of uneven numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class ExchangePlan:
    """How many rows this rank sends to and receives from each expert-parallel rank."""

    sent: list[int]
    counts: list[list[int]]
    """Rows received, ``counts[source][local expert]``."""

    @property
    def received(self) -> list[int]:
        """Rows received from each rank."""
        return [sum(source) for source in self.counts]


def plan_exchange(counts: Tensor, group: dist.ProcessGroup | None) -> ExchangePlan:
    """Tell every rank how many rows for each of its experts it will get.

    `counts` are this rank's rows for each expert of the layer. The host waits for the result,
    because the sizes of the receive buffers depend on it.
    """
    ep = dist.get_world_size(group) if group is not None else 1
    received = counts
    if group is not None:
        received = torch.empty_like(counts)
        dist.all_to_all_single(received, counts, group=group)
    sent, got = torch.stack((counts, received)).unflatten(1, (ep, -1)).tolist()
    return ExchangePlan([sum(rank) for rank in sent], got)


def send_rows(rows: Tensor, plan: ExchangePlan, group: dist.ProcessGroup | None) -> Tensor:
    """Dispatch: rows to the ranks that hold their experts (and gradients on combine's way back)."""
    return _all_to_all(rows, plan.sent, plan.received, group)


def return_rows(rows: Tensor, plan: ExchangePlan, group: dist.ProcessGroup | None) -> Tensor:
    """Combine: rows back to where they came from (and gradients on dispatch's way back)."""
    return _all_to_all(rows, plan.received, plan.sent, group)


def _all_to_all(
    rows: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup | None
) -> Tensor:
    if group is None:
        return rows
    result = rows.new_empty((sum(received), rows.shape[1]))
    dist.all_to_all_single(result, rows.contiguous(), received, sent, group=group)
    return result
