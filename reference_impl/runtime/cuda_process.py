"""What a process must be told before it uses a GPU, and how long it may wait for other ranks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import torch.distributed as dist

from dpprof.errors import DpprofError

TIMEOUT = "REFERENCE_COLLECTIVE_TIMEOUT"
"""Environment variable: seconds that a collective or message may take before its rank gives up."""

_CONNECTIONS = "CUDA_DEVICE_MAX_CONNECTIONS"
_MOST_CONNECTIONS = "32"


def prepare_cuda() -> None:
    """Give each stream a queue of its own on the GPU; to be called before CUDA starts.

    With the usual 8, a middle rank of a pipeline (compute, communication, four edges and NCCL's
    own streams) has streams share one, and what waits there holds up what does not.
    """
    os.environ.setdefault(_CONNECTIONS, _MOST_CONNECTIONS)


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
