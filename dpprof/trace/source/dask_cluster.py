"""Reads traces on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dpprof.errors import DpprofError
from dpprof.trace.source.cache import Packed, Request, pack

_CONNECT_SECONDS = 20


def read_on_cluster(
    scheduler: str, requests: Mapping[int, Request]
) -> Iterator[tuple[int, Packed]]:
    """What comes of each request, under its number, as it comes.

    Results travel packed, and workers give them up as soon as they are fetched. What a worker
    that dies was reading, or had read and not handed over, is read again by another. Raises
    `DpprofError` where there is no cluster, or a trace cannot be read.
    """
    with _client(scheduler) as client:
        from distributed import as_completed

        tasks = {
            client.submit(pack, request, pure=False): number for number, request in requests.items()
        }
        for task in as_completed(list(tasks), loop=client.loop):
            number = tasks.pop(task)
            yield number, _result(task, requests[number])
            task.release()


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


def _result(task: Any, request: Request) -> Packed:
    from distributed import KilledWorker

    try:
        packed: Packed = task.result()
    except KilledWorker as error:
        raise DpprofError(
            f"{request.file}: several workers died while they read it, most likely for lack of "
            "memory; start workers with more memory each"
        ) from error
    return packed
