"""Copies that take as many multiprocessors as they are told and no more.

Interpreted in the tests and compiled for sm_90 and sm_100; not yet run on a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor
from triton.language.extra.cuda import globaltimer

BLOCK = 32768
"""Values that a block copies at a time: in bfloat16 64 KiB in flight on each multiprocessor, which
covers the latency of a link (16 KiB do not: 8 GB/s over NVLink)."""

WARPS = 32


@triton.jit
def _copy_kernel(  # type: ignore[no-untyped-def]
    to, to_row, source, source_row, width, count, BLOCK: tl.constexpr
):
    """Copy `count` values between rows of `width`; every program each `num_programs`-th block.

    At which row the two begin is read on the device.
    """
    to += tl.load(to_row) * width
    source += tl.load(source_row) * width
    start = tl.program_id(0).to(tl.int64) * BLOCK
    stride = tl.num_programs(0).to(tl.int64) * BLOCK
    while start < count:
        place = start + tl.arange(0, BLOCK)
        inside = place < count
        tl.store(to + place, tl.load(source + place, mask=inside), mask=inside)
        start += stride


@triton.jit
def _paced_copy(  # type: ignore[no-untyped-def]
    to, source, count, ns_per_block, BLOCK: tl.constexpr, PACED: tl.constexpr
):
    """As `_copy_kernel`, with every block done no earlier than `ns_per_block` after the last."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    stride = tl.num_programs(0).to(tl.int64) * BLOCK
    due = tl.zeros((), tl.int64)
    if PACED:
        due = globaltimer().to(tl.int64)
    while start < count:
        place = start + tl.arange(0, BLOCK)
        inside = place < count
        tl.store(to + place, tl.load(source + place, mask=inside), mask=inside)
        start += stride
        if PACED:
            due += ns_per_block
            while globaltimer().to(tl.int64) < due:
                pass


class RowCopies(NamedTuple):
    """Copies of rows by `sms` multiprocessors; `start` is an int64 on the device, 0 for none."""

    sms: int
    zero: Tensor

    def copy(self, to: Tensor, source: Tensor) -> None:
        """Between contiguous tensors of one shape."""
        self._launch((to, self.zero), (source, self.zero), to)

    def pull(self, to: Tensor, source: Tensor, start: Tensor) -> None:
        """The rows of `source` from `start` on, as many as `to` has."""
        self._launch((to, self.zero), (source, start), to)

    def push(self, to: Tensor, start: Tensor, source: Tensor) -> None:
        """All rows of `source` into those of `to` from `start` on."""
        self._launch((to, start), (source, self.zero), source)

    def _launch(
        self, to: tuple[Tensor, Tensor], source: tuple[Tensor, Tensor], rows: Tensor
    ) -> None:
        width, count = rows.shape[-1], rows.numel()
        _copy_kernel[(self.sms,)](*to, *source, width, count, BLOCK=BLOCK, num_warps=WARPS)


def paced_copy(to: Tensor, source: Tensor, sms: int, gigabytes_per_second: float) -> None:
    """Copy by `sms` multiprocessors, together no faster than the rate; at rate 0 as they can."""
    per_block = 0
    if gigabytes_per_second:
        per_block = round(BLOCK * source.element_size() * sms / gigabytes_per_second)
    count, paced = source.numel(), bool(per_block)
    _paced_copy[(sms,)](to, source, count, per_block, BLOCK=BLOCK, PACED=paced, num_warps=WARPS)
