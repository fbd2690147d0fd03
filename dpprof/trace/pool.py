"""Reads the traces of several ranks, in parallel where that pays."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.trace.kinds import KindRule
from dpprof.trace.rank import RankTables, read_rank

_WORTH_A_PROCESS_BYTES = 4_000_000  # compressed; forking and passing tables costs about 0.1 s
_MOST_PROCESSES = 16


def read_ranks(traces: Sequence[Path], patterns: Sequence[KindRule] = ()) -> list[RankTables]:
    """The tables of every trace, in rank order; several big files are read in parallel.

    A single file that says no rank is rank 0. Raises `DpprofError` for two traces of one rank.
    """
    return _in_rank_order(_read(traces, patterns))


def _read(traces: Sequence[Path], patterns: Sequence[KindRule]) -> list[RankTables]:
    default = 0 if len(traces) == 1 else None
    size = sum(file.stat().st_size for file in traces if file.exists())
    processes = min(len(traces), multiprocessing.cpu_count(), _MOST_PROCESSES)
    if processes < 2 or size < _WORTH_A_PROCESS_BYTES or not _may_fork():
        return [read_rank(file, default, patterns) for file in traces]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return list(pool.map(read_rank, traces, repeat(default), repeat(patterns)))


def _may_fork() -> bool:
    """Forking needs no import again and no guard in the caller's script, but one thread only."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    return forks and threading.active_count() == 1


def _in_rank_order(ranks: Sequence[RankTables]) -> list[RankTables]:
    seen: dict[int, Path] = {}
    for one in ranks:
        if one.rank in seen:
            raise DpprofError(
                f"{seen[one.rank]} and {one.file}: both hold rank {one.rank}; give one trace per "
                "rank, of one run"
            )
        seen[one.rank] = one.file
    return sorted(ranks, key=lambda one: one.rank)
