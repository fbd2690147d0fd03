"""What a process must be told before it uses a GPU, and how long it may wait for other ranks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist

from dpprof.errors import DpprofError

TIMEOUT = "REFERENCE_COLLECTIVE_TIMEOUT"
"""Environment variable: seconds that a collective or message may take before its rank gives up."""

_CONNECTIONS = "CUDA_DEVICE_MAX_CONNECTIONS"
_MOST_CONNECTIONS = "32"

_STANDING_CYCLES = 2 * 10**9
"""A second of an H200: longer than a host takes for 1,024 launches."""

_SPARE = 16 << 20
"""Bytes: eight of the segments from which torch gives out what is no larger than a MiB."""


def prepare_cuda() -> None:
    """Give each stream a queue of its own on the GPU; to be called before CUDA starts.

    With the usual 8, a middle rank of a pipeline (compute, communication, four edges and NCCL's
    own streams) has streams share one, and what waits there holds up what does not.
    """
    os.environ.setdefault(_CONNECTIONS, _MOST_CONNECTIONS)


def fall_behind() -> None:
    """Have the GPU stand still until the host has issued all that its launch queue takes.

    What a stream uses of another one's memory is free again only when the GPU has passed there, so
    the farther the host is ahead, the more memory a step takes. A step of the warm-up that begins
    like this takes what any later one can, and those take none.
    """
    torch.cuda._sleep(_STANDING_CYCLES)


def keep_spare_blocks(device: torch.device) -> None:
    """Have each stream keep some small blocks: which of them are free, and where, differs by step.

    To be called when nothing runs.
    """
    for handle in {segment["stream"] for segment in torch.cuda.memory_snapshot()}:
        stream = torch.cuda.ExternalStream(handle) if handle else torch.cuda.default_stream(device)
        enough = torch.cuda.memory_reserved(device) + _SPARE
        blocks = []
        with torch.cuda.stream(stream):
            while torch.cuda.memory_reserved(device) < enough:
                blocks.append(torch.empty(1 << 20, dtype=torch.uint8, device=device))


def collective_timeout() -> timedelta | None:
    """How long to wait for other ranks; None leaves it to torch (NCCL 10 minutes, gloo 30)."""
    text = os.environ.get(TIMEOUT)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise DpprofError(f"{TIMEOUT}={text}: give a number of seconds above 0, or unset it")
    return timedelta(seconds=seconds)


def limit_waiting(groups: Iterable[dist.ProcessGroup]) -> None:
    """Have `groups` give up after the timeout too: torch starts each with its own default."""
    timeout = collective_timeout()
    if timeout is not None:
        for group in groups:
            dist.distributed_c10d._set_pg_timeout(timeout, group)
