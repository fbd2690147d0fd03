"""How many rows go where in the all-to-all of expert parallelism, and what the host knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dpprof.reference.model.grouped import RowGroups


@dataclass
class ExchangePlan:
    """How many rows this rank sends to and receives from each expert-parallel rank.

    Mutable for what a dispatcher keeps between the four exchanges of a layer and micro-batch.
    """

    sent: list[int]
    counts: list[list[int]]
    """Rows received, ``counts[source][local expert]``."""
    groups: RowGroups
    """Rows of each local expert, once they are grouped."""
    sent_counts: Tensor
    """Rows for each expert slot of the layer, on the device."""
    handle: Any = None

    @property
    def received(self) -> list[int]:
        """Rows received from each rank."""
        return [sum(source) for source in self.counts]


def plan_exchange(counts: Tensor, group: dist.ProcessGroup | None, looped: int = 1) -> ExchangePlan:
    """Tell every rank how many rows for each of its experts it will get.

    `counts` are this rank's rows for each expert slot of the layer. The host waits for the
    result, because the sizes of the receive buffers depend on it. With `looped` the one rank
    stands for as many: what it sends to each of them comes in as if from each of them.
    """
    ranks = (dist.get_world_size(group) if group is not None else 1) * looped
    received = counts
    if group is not None and looped == 1:
        received = torch.empty_like(counts)
        dist.all_to_all_single(received, counts, group=group)
    ends = received.unflatten(0, (ranks, -1)).sum(dim=0).cumsum(0).to(torch.int32)
    sent, got = torch.stack((counts, received)).unflatten(1, (ranks, -1)).tolist()
    return _plan(sent, got, ends, counts)


def known_plan(
    counts: list[int], own: slice, ranks: int, device: torch.device, looped: int = 1
) -> ExchangePlan:
    """The plan where every rank sends `counts` rows to the expert slots, whatever the tokens.

    `own` are this rank's slots. Nothing is exchanged. To be made once: every exchange takes a
    copy, so that the host waits for nothing.
    """
    share = len(counts) // (ranks * looped)
    sent = [counts[start : start + share] for start in range(0, len(counts), share)]
    got = sent if looped > 1 else [counts[own]] * ranks
    totals = [sum(column) for column in zip(*got, strict=True)]
    ends = torch.tensor(totals).cumsum(0).to(device, torch.int32)
    return _plan(sent, got, ends, torch.tensor(counts, device=device))


def _plan(
    sent: list[list[int]], got: list[list[int]], ends: Tensor, counts: Tensor
) -> ExchangePlan:
    totals = [sum(column) for column in zip(*got, strict=True)]
    return ExchangePlan([sum(rank) for rank in sent], got, RowGroups(totals, ends), counts)
