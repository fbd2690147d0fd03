"""A profiling job: everything a worker process needs to know, as plain picklable data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from dpprof.errors import DpprofError

DEVICES = ("auto", "cuda", "cpu", "emulated")

Device = Literal["cuda", "cpu", "emulated"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One schedule to profile on `pp` x `dp` x `ep` processes.

    `schedule` and `costs` are in their JSON forms; `costs` is set for the emulated device only,
    as are `faults` (what `dpprof.costs.faults` reads), and `sizes` (the model's configuration) for
    the real ones. With `share_gpus` several ranks run on one GPU, and what they tell each other
    goes through the host's memory.
    """

    schedule: dict[str, Any]
    pp: int
    ep: int
    dp: int = 1
    device: Device
    folder: str
    layers: int
    steps: int = 3
    warmup: int = 1
    seed: int = 0
    sizes: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, Any] | None = None
    faults: tuple[str, ...] = ()
    share_gpus: bool = False
    memory_history: bool = False

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.pp * self.dp * self.ep


def resolve_device(name: str, world_size: int, share_gpus: bool = False) -> Device:
    """Turn ``auto`` into cuda where there is a GPU for every rank, else cpu; check ``cuda``.

    With `share_gpus` one GPU is enough for all.
    """
    if name == "emulated":
        return "emulated"
    if name == "cpu":
        return "cpu"
    import torch

    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus >= local_ranks or (share_gpus and gpus):
        return "cuda"
    if name == "auto":
        return "cpu"
    raise DpprofError(
        f"--device cuda: {local_ranks} ranks on this machine need as many GPUs, it has {gpus}; "
        "use fewer ranks, torchrun over more machines, --share-gpus, --device cpu or "
        "--device emulated"
    )
