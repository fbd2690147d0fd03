"""Reads the traces of several ranks: from the cache where they are in it, else in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.runs.workers import may_fork, usable_cores
from dpprof.store.place import CacheLocation, find_place
from dpprof.store.tidy import evict
from dpprof.tables.devices import rank_name, rank_order
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.file_formats import is_nsys_export
from dpprof.trace.rank.rank_part import RankPart, make_part
from dpprof.trace.source.cache import (
    Packed,
    ReadRequest,
    StoredTable,
    find_parts,
    keep,
    look_at,
    pack_tables,
    unpack,
)
from dpprof.trace.source.dask_cluster import read_on_cluster
from dpprof.trace.source.files import RunFiles
from dpprof.trace.source.processes import Handed, read_in_processes
from dpprof.trace.source.rank_numbers import numbering_warnings, numbers_in_names, with_ranks
from dpprof.trace.source.recordings import or_one_of

Progress = Callable[[int, int], None]
"""Called with the number of ranks that are read, and of all ranks."""
_WORTH_A_PROCESS_BYTES = 4_000_000  # compressed; forking and passing tables costs about 0.1 s
_HELD_EVENTS = 4_000_000  # about 0.4 GB; beyond, events are taken from the cache one rank at a time
_MOST_PROCESSES = 16


@dataclass(frozen=True)
class Reading:
    """How traces are read; only `step_range` changes anything about the result.

    With `scheduler` (``tcp://host:8786``), ranks are read by the workers of that Dask cluster,
    which must see the traces under the same paths; else by `processes` on this machine (None:
    one per core), fewer where their memory would not suffice. `fetched` is told the bytes of a run
    that lies elsewhere that are here, and of all.
    """

    processes: int | None = None
    scheduler: str | None = None
    progress: Progress | None = None
    fetched: Progress | None = None
    step_range: str = ""  # a pattern of names: the ranges that are steps


HERE = Reading()


def read_parts(
    files: RunFiles, patterns: Sequence[KindRule] = (), reading: Reading = HERE
) -> tuple[list[RankPart], list[str]]:
    """The parts of all traces, in rank order, and warnings; several big files in parallel.

    A part is a rank, or one of its devices. A single file that says no rank is rank 0; several go
    by the one number in their names. Raises `DpprofError` for two traces of one rank, and for one
    whose rank nobody says.
    """
    traces, given = files.traces, files.ranks is not None
    _check_files(traces)
    numbers: Sequence[int | None] | None = files.ranks
    if numbers is None:
        numbers = [0] if len(traces) == 1 else numbers_in_names(traces)
    requests = [
        ReadRequest(trace, number, tuple(patterns), given, reading.step_range)
        for trace, number in zip(traces, numbers or [None] * len(traces), strict=True)
    ]
    reader = _Reader(find_place(), reading)
    parts: dict[int, list[RankPart]] = {}
    for number, found in reader.read(requests):
        parts[number] = found
        if reading.progress is not None:
            reading.progress(len(parts), len(traces))
    ranked, words = with_ranks([part for number in sorted(parts) for part in parts[number]])
    ranks = _in_rank_order(ranked)
    return ranks, [*reader.warnings, *words, *numbering_warnings(ranks)]


def _check_files(traces: Iterable[Path]) -> None:
    """Refuse pipes and devices: traces are read more than once, and a pipe may have no end."""
    for trace in traces:
        if trace.exists() and not trace.is_file() and not is_nsys_export(trace):
            raise DpprofError(f"{trace}: cannot be read (not a regular file); give a trace file")


class _Reader:
    """Reads requests; it has a state to hold few events in memory and to warn but once."""

    def __init__(self, place: CacheLocation | None, reading: Reading) -> None:
        self._place, self._reading = place, reading
        self._problem = ""
        self._held = 0

    @property
    def warnings(self) -> list[str]:
        """A warning where the cache could not be written."""
        if self._place is None or not self._problem:
            return []
        return [
            f"{self._place.folder}: what was read cannot be kept there ({self._problem}) and will "
            "be read again the next time; make room, or choose another folder (DPPROF_CACHE_DIR)"
        ]

    def read(self, requests: Sequence[ReadRequest]) -> Iterator[tuple[int, list[RankPart]]]:
        """The parts of each request, under its number, as they come."""
        missing: dict[int, ReadRequest] = {}
        keys: set[str] = set()
        for number, request in enumerate(requests):
            parts = None if self._place is None else find_parts(self._place, request)
            if parts is None:
                missing[number] = request
            else:
                keys.update(map(_key, parts))
                yield number, parts
        for number, parts in self._read_missing(missing):
            keys.update(map(_key, parts))
            yield number, parts
        if missing and self._place is not None:
            evict(self._place, keep=keys)

    def _read_missing(
        self, missing: Mapping[int, ReadRequest]
    ) -> Iterator[tuple[int, list[RankPart]]]:
        if missing and self._reading.scheduler is not None:
            for number, packed in read_on_cluster(self._reading.scheduler, missing):
                yield number, self._keep(missing[number], packed)
            return
        processes = min(self._reading.processes or usable_cores(), len(missing), _MOST_PROCESSES)
        if processes < 2 or not _worth_processes(missing.values()) or not may_fork():
            for number, request in missing.items():
                yield number, self._read_here(request)
            return
        for number, handed in read_in_processes(self._place, missing, processes):
            yield number, self._received(missing[number], handed)

    def _received(self, request: ReadRequest, handed: Handed) -> list[RankPart]:
        if handed.packed is not None:
            self._problem = self._problem or handed.problem
            return unpack(request, handed.packed)
        assert self._place is not None
        parts = find_parts(self._place, request)
        return self._read_here(request) if parts is None else parts

    def _read_here(self, request: ReadRequest) -> list[RankPart]:
        before = look_at(request.file)
        tables = request.read()
        count = sum(len(one.events) for one in tables)
        holds = self._held + count <= _HELD_EVENTS
        self._held += count if holds else 0
        if self._place is None and holds:
            return [make_part(one, request.file) for one in tables]
        parts = self._keep(request, pack_tables(request, tables, before))
        return [make_part(one, request.file) for one in tables] if holds else parts

    def _keep(self, request: ReadRequest, packed: Packed) -> list[RankPart]:
        """The parts as stored; else their events stay in memory, packed."""
        parts = None
        try:
            if self._place is not None and keep(self._place, request, packed):
                parts = find_parts(self._place, request)
        except OSError as error:
            self._problem = self._problem or error.strerror or str(error)
        return unpack(request, packed) if parts is None else parts


def _worth_processes(requests: Iterable[ReadRequest]) -> bool:
    files = [request.file for request in requests]
    return sum(file.stat().st_size for file in files if file.exists()) >= _WORTH_A_PROCESS_BYTES


def _key(part: RankPart) -> str:
    return part.load.key if isinstance(part.load, StoredTable) else ""


def _in_rank_order(ranks: Sequence[RankPart]) -> list[RankPart]:
    seen: dict[int, Path] = {}
    for one in ranks:
        if one.rank in seen:
            raise DpprofError(
                f"{seen[one.rank]} and {one.file}: both hold {rank_name(one.rank)}; give one trace "
                "per rank, of one run; where the traces are wrong in that, give ranks: "
                f"0=FILE,1=FILE{or_one_of([part.file for part in ranks])}"
            )
        seen[one.rank] = one.file
    return sorted(ranks, key=lambda one: rank_order(one.rank))
