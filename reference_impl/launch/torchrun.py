"""Runs jobs in the world that torchrun has started: this process is one of its ranks."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch.distributed as dist

from dpprof.reference.job import Job
from dpprof.reference.launch.train import join_world, prepare_process, train_in_world


@contextmanager
def joined_world(
    job: Job, clean_up: Callable[[], None], timeout_seconds: float
) -> Iterator[tuple[Callable[[Job], None], Callable[[], None]]]:
    """Join torchrun's world once, for all jobs; gives what runs a job in it, and what waits for it.

    A rank that finishes no step for `timeout_seconds` writes where its threads are to stderr and
    exits; torchrun then ends the others.

    torchrun ends its ranks with SIGTERM, also while they wait inside a collective, where no
    Python handler runs: a thread of its own waits for the signal, calls `clean_up` and exits.
    """
    rank = int(os.environ["RANK"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_on_sigterm, args=(clean_up,), daemon=True).start()
    device = prepare_process(job, rank)
    join_world(job, device, "env://", rank)

    def patient(_: int = 0) -> None:
        faulthandler.dump_traceback_later(timeout_seconds, exit=True, file=2)

    def run(job: Job) -> None:
        patient()
        train_in_world(job, rank, device, patient)
        faulthandler.cancel_dump_traceback_later()

    def wait() -> None:
        patient()
        dist.barrier()
        faulthandler.cancel_dump_traceback_later()

    try:
        yield run, wait
    finally:
        dist.destroy_process_group()


def _end_on_sigterm(clean_up: Callable[[], None]) -> None:
    signal.sigwait({signal.SIGTERM})
    clean_up()
    os._exit(128 + signal.SIGTERM)
