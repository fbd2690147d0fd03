"""Reads traces on the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any

from dpprof.errors import DpprofError
from dpprof.trace.source.cache import Packed, ReadRequest, pack

_CONNECT_SECONDS = 20
_NO_WORKERS_SECONDS = 30
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 2.0


def read_on_cluster(
    scheduler: str, requests: Mapping[int, ReadRequest]
) -> Iterator[tuple[int, Packed]]:
    """What comes of each request, under its number, as it comes.

    Results travel packed, and workers give them up as soon as they are fetched. What a worker
    that dies was reading, or had read and not handed over, is read again by another. Raises
    `DpprofError` where there is no cluster, it has no workers any more, or a trace cannot be read.
    """
    with _client(scheduler) as client:
        tasks = {
            client.submit(_pack_there, request, pure=False): number
            for number, request in requests.items()
        }
        _wait_for_workers(client, scheduler)
        while tasks:
            for task in _done(client, list(tasks), scheduler):
                number = tasks.pop(task)
                yield number, _result(task, requests[number], scheduler)
                task.release()


def _pack_there(request: ReadRequest) -> Packed:
    """`pack`, on a worker; raises `DpprofError` that names its host where it has not the trace."""
    try:
        return pack(request)
    except DpprofError as error:
        if os.path.lexists(request.file):
            raise
        raise DpprofError(
            f"{request.file}: is not there on {socket.gethostname()}, where a Dask worker was to "
            "read it; give every worker the same folders"
        ) from error


def _wait_for_workers(client: Any, scheduler: str) -> None:
    """Raise `DpprofError` where the cluster has no workers for too long."""
    deadline = time.monotonic() + _NO_WORKERS_SECONDS
    while time.monotonic() < deadline:
        if client.status != "running":
            raise _scheduler_gone(scheduler)
        try:
            if client.scheduler_info(n_workers=1)["workers"]:
                return
        except OSError as error:
            raise _scheduler_gone(scheduler) from error
        time.sleep(_ASK_SECONDS / 4)
    raise DpprofError(
        f"{scheduler}: has had no workers for {_NO_WORKERS_SECONDS} s; start some with `dask "
        f"worker {scheduler}`"
    )


def _done(client: Any, tasks: list[Any], scheduler: str) -> list[Any]:
    """Tasks that have come to an end; looks meanwhile whether there is still who works on them."""
    looked = time.monotonic()
    while not (done := [task for task in tasks if task.done()]):
        time.sleep(_LOOK_SECONDS)
        if time.monotonic() - looked > _ASK_SECONDS:
            _wait_for_workers(client, scheduler)
            looked = time.monotonic()
    return done


def _scheduler_gone(scheduler: str) -> DpprofError:
    return DpprofError(
        f"{scheduler}: the Dask scheduler has gone while traces were read; start it again, and this"
    )


def _client(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise DpprofError(
            "--executor dask needs Dask; install it with: pip install 'dpprof[dask]'"
        ) from error
    try:
        return Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DpprofError(
            f"{scheduler}: no Dask scheduler answers there ({error}); start one with `dask "
            "scheduler` and give its address"
        ) from error


def _result(task: Any, request: ReadRequest, scheduler: str) -> Packed:
    from distributed import KilledWorker

    try:
        packed: Packed = task.result()
    except KilledWorker as error:
        raise DpprofError(
            f"{request.file}: several workers died while they read it, most likely for lack of "
            "memory; start workers with more memory each"
        ) from error
    except (CancelledError, asyncio.CancelledError) as error:
        raise _scheduler_gone(scheduler) from error
    return packed
