"""Our own all-to-all for one node, on PyTorch's symmetric memory. Not yet run on GPUs.

Every rank has a buffer for the rows that it sends, in send order, and beside it the row at which
each receiver's share begins. To the experts, a rank puts its rows there and the others pull their
shares over NVLink; on the way back they push the results to where the rows lay. Each begins with
its next neighbour, so that no port has to serve everyone at once. The copies are kernels of as
many blocks as multiprocessors may be taken, which is DeepSeek's point: a few suffice to fill the
links.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.model.exchange import ExchangePlan


class Copies(Protocol):
    """Moves rows; `start` is the first row, an int64 on the device."""

    def copy(self, to: Tensor, source: Tensor) -> None:
        """Between tensors of one shape."""

    def pull(self, to: Tensor, source: Tensor, start: Tensor) -> None:
        """The rows of `source`, another GPU's memory, from `start` on."""

    def push(self, to: Tensor, start: Tensor, source: Tensor) -> None:
        """Into the rows of `to`, another GPU's memory, from `start` on."""


class PeerBuffers(Protocol):
    """What every rank of a group can read and write of every other."""

    rank: int

    def buffer(self, rank: int) -> Tensor:
        """The rows of a rank, ``[rows, hidden]``."""

    def starts(self, rank: int) -> Tensor:
        """Where the share of each rank begins in that rank's buffer, ``[ranks]``."""

    def barrier(self) -> None:
        """Have every rank's current stream wait for every other one's."""


class SymmetricMemory:
    """Has state because the buffers are the same for every exchange."""

    waits_for_counts = False

    def __init__(self, peers: PeerBuffers, copies: Copies) -> None:
        self._peers = peers
        self._copies = copies

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows to their experts."""
        own = self._peers.rank
        self._lay_out(plan.sent)
        self._copies.copy(self._peers.buffer(own)[: len(rows)], rows.contiguous())
        self._peers.barrier()  # everyone has written
        result = rows.new_empty((sum(plan.received), rows.shape[1]))
        for rank, part in self._from_next(result.split(plan.received)):
            self._copies.pull(part, self._peers.buffer(rank), self._start_at(rank))
        self._peers.barrier()  # everyone has read: the buffers may be written again
        return result

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows back to the places that they were sent from."""
        self._lay_out(plan.sent)
        self._peers.barrier()  # everyone has told where, and read what the last exchange brought
        for rank, part in self._from_next(rows.contiguous().split(plan.received)):
            self._copies.push(self._peers.buffer(rank), self._start_at(rank), part)
        self._peers.barrier()  # everyone has written
        result = rows.new_empty((sum(plan.sent), rows.shape[1]))
        self._copies.copy(result, self._peers.buffer(self._peers.rank)[: len(result)])
        return result

    def _lay_out(self, sent: Sequence[int]) -> None:
        """Tell the others where their shares begin; the host waits for nothing."""
        starts = self._peers.starts(self._peers.rank)
        values = torch.tensor([0, *accumulate(sent[:-1])], pin_memory=starts.is_cuda)
        starts.copy_(values, non_blocking=True)

    def _start_at(self, rank: int) -> Tensor:
        return self._peers.starts(rank)[self._peers.rank]

    def _from_next(self, parts: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
        """Ranks and their parts, where there are any rows, from the next neighbour on."""
        for step in range(1, len(parts) + 1):
            rank = (self._peers.rank + step) % len(parts)
            if len(parts[rank]):
                yield rank, parts[rank]


class _TorchPeers:
    """`PeerBuffers` by torch.distributed._symmetric_memory."""

    def __init__(self, place: ExchangePlace) -> None:
        import torch.distributed._symmetric_memory as symmetric

        assert place.group is not None
        self.rank = place.group.rank()
        self._shape = (place.rows, place.hidden)
        self._ranks = place.group.size()
        self._rows = symmetric.empty(*self._shape, dtype=place.dtype, device=place.device)
        self._starts = symmetric.empty(self._ranks, dtype=torch.int64, device=place.device)
        self._row_handle = symmetric.rendezvous(self._rows, place.group)
        self._start_handle = symmetric.rendezvous(self._starts, place.group)

    def buffer(self, rank: int) -> Tensor:
        """The rows of a rank."""
        buffer: Tensor = self._row_handle.get_buffer(rank, self._shape, self._rows.dtype)
        return buffer

    def starts(self, rank: int) -> Tensor:
        """Where shares begin in a rank's rows."""
        starts: Tensor = self._start_handle.get_buffer(rank, (self._ranks,), torch.int64)
        return starts

    def barrier(self) -> None:
        """On the current stream; the host goes on."""
        self._row_handle.barrier(channel=0)


def make(place: ExchangePlace) -> Dispatcher:
    """Buffers for `place`; raises `DpprofError` where a rank cannot reach the others' memory."""
    if place.group is None or place.device.type != "cuda":
        raise DpprofError(
            "the dispatcher symmetric-memory needs several GPUs of one node; "
            "use --set dispatcher=all-to-all"
        )
    from dpprof.reference.dispatchers.copy_kernel import RowCopies

    try:
        peers = _TorchPeers(place)
    except RuntimeError as error:
        raise DpprofError(
            f"symmetric memory cannot be set up here ({error}); use --set dispatcher=all-to-all"
        ) from error
    zero = torch.zeros((), dtype=torch.int64, device=place.device)
    return SymmetricMemory(peers, RowCopies(place.sms, zero))
