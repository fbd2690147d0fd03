"""What this process's tensors hold already when a capture begins: a CPU trace cannot know."""

from __future__ import annotations

import gc
from typing import NamedTuple


class MemoryBefore(NamedTuple):
    """Bytes of host memory in tensors: all of them, and those of parameters among them."""

    bytes: int
    parameter_bytes: int


def held_on_host() -> MemoryBefore:
    """Count every storage once, of all tensors on the CPU that Python's collector knows."""
    import torch

    sizes: dict[int, int] = {}
    parameters: set[int] = set()
    for one in gc.get_objects():
        kind = type(one)  # and not isinstance: objects may lie about their class, and raise
        if not issubclass(kind, torch.Tensor):
            continue
        try:
            if one.device.type != "cpu" or one.layout != torch.strided:
                continue
            storage = one.untyped_storage()
            place, size = storage.data_ptr(), storage.nbytes()
        except (RuntimeError, NotImplementedError):
            continue  # a tensor without storage: fake, functional, a wrapper of others
        sizes[place] = size
        if issubclass(kind, torch.nn.Parameter):
            parameters.add(place)
    sizes.pop(0, None)
    return MemoryBefore(sum(sizes.values()), sum(sizes[one] for one in parameters if one in sizes))
