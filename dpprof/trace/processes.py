"""Reads traces in several processes at once, as many as their memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.store.place import Place
from dpprof.trace.need import available_bytes, need_bytes
from dpprof.trace.stored import Packed, Request, keep, pack


class Handed(NamedTuple):
    """What a process hands over: nothing where it could keep it in the cache."""

    packed: Packed | None
    problem: str = ""  # why it could not


def read_and_keep(place: Place | None, request: Request) -> Handed:
    """Read a trace and store it; raises `DpprofError` where it cannot be read."""
    packed = pack(request)
    try:
        if place is not None and keep(place, request, packed):
            return Handed(None)
    except OSError as error:
        return Handed(packed, error.strerror or str(error))
    return Handed(packed)


def read_in_processes(
    place: Place | None, requests: Mapping[int, Request], processes: int
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
    place: Place | None, requests: Mapping[int, Request], processes: int
) -> Iterator[tuple[int, Handed]]:
    needs = {number: need_bytes(request.file) for number, request in requests.items()}
    waiting = sorted(requests, key=lambda number: needs[number])
    budget = available_bytes()
    running: dict[Future[Handed], int] = {}
    with ProcessPoolExecutor(processes, get_context("fork")) as pool:
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


def _alone(place: Place | None, request: Request) -> Handed:
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        try:
            return pool.submit(read_and_keep, place, request).result()
        except BrokenProcessPool as error:
            raise DpprofError(
                f"{request.file}: the process that read it was killed, most likely for lack of "
                "memory; free some, or profile fewer steps"
            ) from error
