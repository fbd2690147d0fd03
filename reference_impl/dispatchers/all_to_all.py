"""The default dispatcher: torch.distributed's `all_to_all_single`, by NCCL or gloo."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor

from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.model.exchange import ExchangePlan


class AllToAll:
    """One collective for each exchange.

    Without a group nothing has to move; but one rank that stands for many copies its rows, so that
    an exchange takes memory traffic and a place on its stream all the same.
    """

    waits_for_counts = False

    def __init__(self, group: dist.ProcessGroup | None) -> None:
        self._group = group

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows to their experts."""
        return self._exchange(rows, plan.sent, plan.received)

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows back."""
        return self._exchange(rows, plan.received, plan.sent)

    def _exchange(self, rows: Tensor, sent: list[int], received: list[int]) -> Tensor:
        if self._group is None:
            return rows if len(sent) == 1 else rows.clone()
        if len(sent) > self._group.size():  # one rank stands for many: all of it is its own
            sent, received = [sum(sent)], [sum(received)]
        result = rows.new_empty((sum(received), rows.shape[1]))
        dist.all_to_all_single(result, rows.contiguous(), received, sent, group=self._group)
        return result


def make(place: ExchangePlace) -> Dispatcher:
    """The dispatcher for `place`; how many multiprocessors NCCL takes, its group says."""
    return AllToAll(place.group)
