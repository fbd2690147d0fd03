"""Reads traces in several processes at once, as many as their memory allows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.store.place import CacheLocation
from dpprof.system.memory import free_bytes
from dpprof.system.processes import forked_pool
from dpprof.trace.source.cache import Packed, ReadRequest, keep, pack

_PER_BYTE = 5
"""Memory per byte of JSON: the text, its columns and tables. Measured with bench_scale."""
_PROCESS_BYTES = 150_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_COMPRESSION = 12  # of traces, by gzip and zstd; some reach 20
_USABLE_SHARE = 0.6


class Handed(NamedTuple):
    """What a process hands over: nothing where it could keep it in the cache."""

    packed: Packed | None
    problem: str = ""  # why it could not


def read_and_keep(place: CacheLocation | None, request: ReadRequest) -> Handed:
    """Read a trace and store it; raises `DpprofError` where it cannot be read."""
    packed = pack(request)
    try:
        if place is not None and keep(place, request, packed):
            return Handed(None)
    except OSError as error:
        return Handed(packed, error.strerror or str(error))
    return Handed(packed)


def read_in_processes(
    place: CacheLocation | None, requests: Mapping[int, ReadRequest], processes: int
) -> Iterator[tuple[int, Handed]]:
    """What comes of each request, under its number, as it comes; the biggest are read first.

    A process that is killed, most likely for lack of memory, costs nothing but time: what it and
    those beside it were reading is read again, one after another. Raises `DpprofError` if one is
    killed again.
    """
    left = dict(requests)
    try:
        for number, handed in _pooled(place, requests, processes):
            del left[number]
            yield number, handed
    except BrokenProcessPool:
        for number, request in left.items():
            yield number, _alone(place, request)


def _pooled(
    place: CacheLocation | None, requests: Mapping[int, ReadRequest], processes: int
) -> Iterator[tuple[int, Handed]]:
    needs = {number: need_bytes(request.file) for number, request in requests.items()}
    waiting = sorted(requests, key=lambda number: needs[number])
    budget = available_bytes()
    running: dict[Future[Handed], int] = {}
    with forked_pool(processes) as pool:
        if pool is None:
            for number, request in requests.items():
                yield number, read_and_keep(place, request)
            return
        while waiting or running:
            free = budget - sum(needs[number] for number in running.values())
            while waiting and len(running) < processes and _fits(waiting, needs, free, running):
                number = waiting.pop()
                free -= needs[number]
                running[pool.submit(read_and_keep, place, requests[number])] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _fits(
    waiting: list[int], needs: Mapping[int, int], free: int, running: Mapping[Future[Handed], int]
) -> bool:
    return not running or needs[waiting[-1]] <= free


def _alone(place: CacheLocation | None, request: ReadRequest) -> Handed:
    with forked_pool(1) as pool:
        try:
            if pool is None:
                return read_and_keep(place, request)
            return pool.submit(read_and_keep, place, request).result()
        except BrokenProcessPool as error:
            raise DpprofError(
                f"{request.file}: the process that read it was killed, most likely for lack of "
                "memory; free some, or profile fewer steps"
            ) from error


def need_bytes(file: Path) -> int:
    """About the memory that a process takes to read the trace."""
    try:
        return _PROCESS_BYTES + _PER_BYTE * _json_bytes(file)
    except OSError:
        return _PROCESS_BYTES  # it will fail soon enough


def _json_bytes(file: Path) -> int:
    with file.open("rb") as stream:
        magic = stream.read(4)
        size = stream.seek(0, os.SEEK_END)
        if magic == _ZSTD_MAGIC:
            return size * _COMPRESSION
        if not magic.startswith(_GZIP_MAGIC) or size < 18:
            return size
        stream.seek(-4, os.SEEK_END)
        written = int.from_bytes(stream.read(4), "little")  # modulo 2**32, of the last member
    return max(written, size * _COMPRESSION if size > 2**28 else size)


def available_bytes() -> int:
    """What readers may take together of the memory that is free now."""
    return int(_USABLE_SHARE * free_bytes())
