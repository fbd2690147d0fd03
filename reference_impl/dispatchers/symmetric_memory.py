"""Our own all-to-all for one node, on PyTorch's symmetric memory. **Unproven** on GPUs.

Every rank puts what it sends into its own buffer, one slot for each receiver; when all have, each
pulls its slots out of the others' buffers over NVLink. The pull is one kernel of as many blocks as
multiprocessors may be taken, which is DeepSeek's point: a few suffice to fill the links.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.model.exchange import ExchangePlan

Copy = Callable[[Tensor, Tensor], None]
"""``copy(to, from)`` of equal shapes; `from` may be another GPU's memory."""


class Peers(Protocol):
    """Buffers that every rank of a group can read, ``[ranks, rows, hidden]`` each."""

    rank: int

    def buffer(self, rank: int) -> Tensor:
        """The buffer of a rank."""

    def barrier(self) -> None:
        """Have every rank's current stream wait for every other one's."""


class SymmetricMemory:
    """Has state because the buffers are the same for every exchange."""

    def __init__(self, peers: Peers, copy: Copy) -> None:
        self._peers = peers
        self._copy = copy

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows to their experts."""
        return self._exchange(rows, plan.sent, plan.received)

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows back."""
        return self._exchange(rows, plan.received, plan.sent)

    def _exchange(self, rows: Tensor, sent: list[int], received: list[int]) -> Tensor:
        own = self._peers.buffer(self._peers.rank)
        for slot, part in zip(own, rows.split(sent), strict=True):
            slot[: len(part)].copy_(part)
        self._peers.barrier()  # everyone has written
        result = rows.new_empty((sum(received), rows.shape[1]))
        for rank, part in enumerate(result.split(received)):
            if len(part):
                self._copy(part, self._peers.buffer(rank)[self._peers.rank, : len(part)])
        self._peers.barrier()  # everyone has read: the buffers may be written again
        return result


class _TorchPeers:
    """`Peers` by torch.distributed._symmetric_memory."""

    def __init__(self, place: ExchangePlace) -> None:
        import torch.distributed._symmetric_memory as symmetric

        assert place.group is not None
        self.rank = place.group.rank()
        self._shape = (place.group.size(), place.rows, place.hidden)
        self._own = symmetric.empty(*self._shape, dtype=place.dtype, device=place.device)
        self._handle = symmetric.rendezvous(self._own, place.group)

    def buffer(self, rank: int) -> Tensor:
        """The buffer of a rank."""
        return self._handle.get_buffer(rank, self._shape, self._own.dtype)

    def barrier(self) -> None:
        """On the current stream; the host goes on."""
        self._handle.barrier(channel=0)


def make(place: ExchangePlace) -> Dispatcher:
    """Buffers for `place`; raises `DpprofError` where a rank cannot reach the others' memory."""
    if place.group is None or place.device.type != "cuda":
        raise DpprofError(
            "the dispatcher symmetric-memory needs several GPUs of one node; "
            "use --set dispatcher=all-to-all"
        )
    from dpprof.reference.dispatchers.copy_kernel import copy_with

    try:
        peers = _TorchPeers(place)
    except RuntimeError as error:
        raise DpprofError(
            f"symmetric memory cannot be set up here ({error}); use --set dispatcher=all-to-all"
        ) from error
    return SymmetricMemory(peers, copy_with(place.sms))
