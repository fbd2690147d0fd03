"""What carries the rows of a rank that stands for many: there is no peer, so what a link costs.

A collective of one rank is a copy inside the card, far faster than any link: whatever runs beside
it hides it. Here every byte moves as over a link, at a rate and by multiprocessors that are told
(`PacedCopy`), or over a real link that every card has (`CopyEngines`: PCIe, there and back), or
not at all (`Stay`), which is what the others are measured against.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.model.exchange import ExchangePlan

CHUNK_BYTES = 32 << 20
"""Bytes on the way through the host's memory at a time; the next chunk leaves as one returns."""

CHUNKS = 4


class Loopback:
    """A dispatcher from one function of rows: both ways are the same for a rank that is all."""

    waits_for_counts = False

    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        self._move = move

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows to their experts."""
        return self._move(rows)

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows back."""
        return self._move(rows)


class CopyEngines:
    """Rows to pinned memory and back by copy engines; has state because the memory is kept."""

    def __init__(self, device: torch.device) -> None:
        ring = torch.empty(CHUNKS, CHUNK_BYTES, dtype=torch.uint8, pin_memory=True)
        self._ring = list(ring.unbind())
        self._free: list[torch.cuda.Event | None] = [None] * CHUNKS
        self._back = torch.cuda.Stream(device, priority=-1)

    def __call__(self, rows: Tensor) -> Tensor:
        """A copy of `rows` by way of the host; the current stream waits, the host does not."""
        out = torch.cuda.current_stream(rows.device)
        source = rows.contiguous().view(torch.uint8).flatten()
        result = torch.empty_like(source)
        result.record_stream(self._back)
        self._back.wait_stream(out)
        for number, start in enumerate(range(0, len(source), CHUNK_BYTES)):
            part = slice(start, min(start + CHUNK_BYTES, len(source)))
            self._pass(source[part], result[part], number % CHUNKS)
        out.wait_stream(self._back)
        return result.view(rows.dtype).view_as(rows)

    def _pass(self, source: Tensor, result: Tensor, place: int) -> None:
        """One chunk out on the current stream and back on the other."""
        out, buffer, free = torch.cuda.current_stream(), self._ring[place], self._free[place]
        if free is not None:
            out.wait_event(free)
        buffer[: len(source)].copy_(source, non_blocking=True)
        self._back.wait_event(out.record_event())
        with torch.cuda.stream(self._back):
            result.copy_(buffer[: len(source)], non_blocking=True)
        self._free[place] = self._back.record_event()


def make_loopback(wire: str, place: ExchangePlace, rate: float) -> Dispatcher:
    """The wire of that name; raises `DpprofError` where it needs a GPU and there is none."""
    if wire == "stay":
        return Loopback(lambda rows: rows)
    if place.device.type != "cuda":
        raise DpprofError(f"wire {wire} needs a GPU; use --set wire=stay or wire=self-copy")
    if wire == "engines":
        return Loopback(CopyEngines(place.device))
    return Loopback(_paced(place.sms, rate))


def _paced(sms: int, rate: float) -> Callable[[Tensor], Tensor]:
    from dpprof.reference.dispatchers.copy_kernel import paced_copy

    def move(rows: Tensor) -> Tensor:
        to = torch.empty_like(rows, memory_format=torch.contiguous_format)
        paced_copy(to, rows.contiguous(), sms, rate)
        return to

    return move
