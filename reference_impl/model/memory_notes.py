"""Tells a CUDA memory snapshot what an allocation is for, so that dpprof need not guess."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def allocating(category: str) -> Iterator[None]:
    """Note `category` with the allocations of the block (docs/memory.md lists the categories).

    No effect without a GPU, nor where this torch cannot note anything.
    """
    note = getattr(torch.cuda.memory, "_set_memory_metadata", None)
    if note is None or not torch.cuda.is_available():
        yield
        return
    note(category)
    try:
        yield
    finally:
        note("")
