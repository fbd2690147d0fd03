"""Runs jobs in the world that torchrun has started: this process is one of its ranks."""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist

from dpprof.reference.job import Job
from dpprof.reference.launch.train import join_world, prepare_process, train_in_world
from dpprof.reference.launch.world import JobWorld

_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.5


@contextmanager
def joined_world(
    job: Job, clean_up: Callable[[], None], timeout_seconds: float
) -> Iterator[JobWorld]:
    """Join torchrun's world once, for all jobs.

    A rank that finishes no step for `timeout_seconds` writes where its threads are to stderr and
    exits; torchrun then ends the others.

    torchrun ends its ranks with SIGTERM, also while they wait inside a collective, where no
    Python handler runs: a thread of its own waits for the signal, calls `clean_up` and exits.
    """
    rank = int(os.environ["RANK"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_on_sigterm, args=(clean_up,), daemon=True).start()
    patience = _SelfWatch(rank, timeout_seconds, clean_up)
    device = prepare_process(job, rank)
    patience.renew()
    join_world(job, device, "env://", rank)

    def run(job: Job) -> None:
        patience.renew()
        train_in_world(job, rank, device, patience.renew)
        patience.end()

    def wait() -> None:
        patience.renew()
        dist.barrier()
        patience.end()

    def which(says: bool) -> list[str]:
        patience.renew()
        found: list[str | None] = [None] * dist.get_world_size()
        dist.all_gather_object(found, f"rank {rank} on {socket.gethostname()}" if says else None)
        patience.end()
        return [one for one in found if one is not None]

    try:
        yield JobWorld(run, wait, which)
    finally:
        dist.destroy_process_group()


class _SelfWatch:
    """Ends this rank where it is not heard of for too long; its state is until when.

    A thread says where the rank is and cleans up. Where the interpreter hangs too, and with it
    that thread, faulthandler ends the rank a little later.
    """

    def __init__(self, rank: int, seconds: float, clean_up: Callable[[], None]) -> None:
        self._rank, self._seconds, self._clean_up = rank, seconds, clean_up
        self._until = math.inf
        threading.Thread(target=self._watch, daemon=True).start()

    def renew(self, _: int = 0) -> None:
        """Wait for the next sign of life."""
        self._until = time.monotonic() + self._seconds
        faulthandler.dump_traceback_later(self._seconds + _GRACE_SECONDS, exit=True, file=2)

    def end(self) -> None:
        """Wait no more."""
        self._until = math.inf
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while time.monotonic() < self._until:
            time.sleep(min(_LOOK_SECONDS, self._seconds / 4))
        faulthandler.dump_traceback(file=2)
        os.write(
            2,
            f"error: rank {self._rank} on {socket.gethostname()} finished no step for "
            f"{self._seconds:g} s (--rank-timeout); where it is stands above. If others say so "
            "too, look at the link of the one that does not\n".encode(),
        )
        self._clean_up()
        os._exit(1)


def _end_on_sigterm(clean_up: Callable[[], None]) -> None:
    signal.sigwait({signal.SIGTERM})
    clean_up()
    os._exit(128 + signal.SIGTERM)
