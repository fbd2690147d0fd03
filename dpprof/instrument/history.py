"""Torch's history of what is allocated on a GPU, kept beside a capture's traces."""

from __future__ import annotations

from pathlib import Path

from dpprof.errors import DpprofError

MOST_ENTRIES = 1_000_000


def start_memory_history(max_entries: int = MOST_ENTRIES) -> None:
    """Have torch take down every allocation on the GPU; to be called before the model is made.

    With the Python stack of each allocation, which costs the host some microseconds: take times
    from a run without. Raises `DpprofError` where there is no CUDA.
    """
    import torch

    if not torch.cuda.is_available():
        raise DpprofError("the memory history is torch's for CUDA; leave it out on other devices")
    torch.cuda.memory._record_memory_history(
        enabled="all", context="alloc", stacks="python", max_entries=max_entries
    )


def write_memory_history(folder: Path, rank: int) -> str:
    """Write what was taken down as ``rank<r>.pickle`` in `folder`, and stop; gives the name."""
    import torch

    name = f"rank{rank}.pickle"
    partial = folder / f"{name}.partial"
    torch.cuda.memory._dump_snapshot(str(partial))
    torch.cuda.memory._record_memory_history(enabled=None)
    partial.rename(folder / name)
    return name
