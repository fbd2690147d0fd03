"""Work on many ranks in forked processes, which see the memory of their parent and share it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from dpprof.system.processes import forked_pool

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_PROCESSES = 16
WORTH_PROCESSES = 1_000_000
"""Events from which work on them is spread out: forking and passing results costs about 0.1 s."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else multiprocessing.cpu_count()


def may_fork() -> bool:
    """Forking needs no import again and no guard in the caller's script, but one thread only."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    daemon = multiprocessing.current_process().daemon
    return forks and not daemon and threading.active_count() == 1


def map_forked(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, parallel: bool = True
) -> Iterator[_Result]:
    """``map(function, items)``, in order, in one process per core where that may be done.

    Items and results are passed between processes; what `function` holds is not.
    """
    processes = min(len(items), usable_cores(), _MOST_PROCESSES)
    if not parallel or processes < 2 or not may_fork():
        yield from map(function, items)
        return
    with forked_pool(processes, _inherit, function) as pool:
        yield from map(function, items) if pool is None else pool.map(_call, items)


_inherited: list[Callable[[Any], Any]] = []  # filled in workers only


def _inherit(function: Callable[[Any], Any]) -> None:
    _inherited[:] = [function]


def _call(item: Any) -> Any:
    return _inherited[0](item)
