"""Which ranks were merged into one file: whose the rows of a trace with several processes are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpprof.errors import FileFault
from dpprof.trace.read.columns import DEVICE_CATEGORIES, Category, Rows, TraceColumns

_PLACE = re.compile(
    r"(?<![a-z])(rank|worker|tp|dp|pp|ep|cp|sp|dcp|moe)[-_ =:]?\[?(\d{1,6})(?![\d.])", re.IGNORECASE
)
_DEVICE = re.compile(r"(?:GPU|MTIA|XPU|HPU|NPU|TPU|device)[ :]?(\d{1,6})", re.IGNORECASE)
_RANK = "rank"
_SHOWN = 6
_FREE_PARTS = 128
_ROWS_PER_PART = 64

Places = tuple[tuple[str, int], ...]
Pids = npt.NDArray[np.object_]


class Process(NamedTuple):
    """One rank of a merged file: its number, what the file calls it, and which threads are its.

    `threads` marks those of the trace. With `is_guess`, only the order says which rank it is.
    """

    rank: int
    name: str
    threads: npt.NDArray[np.bool_]
    is_guess: bool


def find_processes(trace: TraceColumns) -> list[Process]:
    """The processes of a trace into which several ranks were merged; none where it is one's.

    Mergers write the rank into the process's number or name (``[TP01] 4711``, ``rank 3``). Where
    they do not, a device's rows belong to the process that launched them. Raises `FileFault`
    where several may have.
    """
    pids = np.array([pid for pid, _ in trace.threads], dtype=object)
    hosts = _pids_of(trace, pids, trace.rows(Category.LAUNCH))
    hosts = [pid for pid in hosts if not _is_device(pid, trace)]
    devices = _pids_of(trace, pids, trace.rows(*DEVICE_CATEGORIES))
    if not hosts:
        hosts = _pids_of(trace, pids, trace.rows(Category.OPERATOR))
    places = {pid: _places(pid, trace) for pid in {*hosts, *devices}}
    if all(places.values()) and len(set(places.values())) > 1:
        return _by_place(trace, pids)
    if len(hosts) < 2:
        return []
    return _by_launch(trace, pids, (hosts, devices))


def check_count(what: str, count: int, trace: TraceColumns) -> None:
    """Raise `FileFault` for more parts than so many rows are cut into: each costs some work."""
    if count > _FREE_PARTS + len(trace.start_ns) // _ROWS_PER_PART:
        raise FileFault(
            f"holds {count} {what} with {len(trace.start_ns)} rows in all, too few for "
            "those of a step; give each rank's own trace"
        )


def _is_device(pid: str, trace: TraceColumns) -> bool:
    """Whether a process is a device that also tells of its runtime, as MTIA's do ("MTIA 17")."""
    named = (_DEVICE.fullmatch(name) for name in trace.process_names.get(pid, ()))
    return any(found is not None and found[1] == pid for found in named)


def _pids_of(trace: TraceColumns, pids: Pids, rows: Rows) -> list[str]:
    found = dict.fromkeys(pids[np.unique(trace.thread[rows])].tolist()) if len(rows) else {}
    return sorted(found, key=_in_order)


def _in_order(pid: str) -> tuple[int, str]:
    return (int(pid), pid) if pid.isdecimal() and len(pid) < 19 else (-1, pid)


def _places(pid: str, trace: TraceColumns) -> Places:
    """What number or name say of the process's place in the job: (("tp", 1),)."""
    for text in (pid, *trace.process_names.get(pid, ())):
        found = {kind.lower(): int(number) for kind, number in _PLACE.findall(text)}
        if found:
            return tuple(found.items())
    return ()


def _by_place(trace: TraceColumns, pids: Pids) -> list[Process]:
    place_of = {pid: _places(pid, trace) for pid in dict.fromkeys(pids.tolist())}
    places = sorted({place for place in place_of.values() if place})
    numbers = _numbers(places)
    return sorted(
        Process(
            rank=position if numbers is None else numbers[position],
            name=" ".join(f"{kind.upper()} {number}" for kind, number in place),
            threads=np.array([place_of[pid] == place for pid in pids], dtype=bool),
            is_guess=numbers is None,
        )
        for position, place in enumerate(places)
    )


def _numbers(places: Iterable[Places]) -> list[int] | None:
    """The ranks that the places give; None where they have several numbers that differ."""
    known = [dict(place) for place in places]
    if all(_RANK in place for place in known):
        numbers = [place[_RANK] for place in known]
    else:
        kinds = {kind for place in known for kind in place}
        varying = [kind for kind in kinds if len({place.get(kind) for place in known}) > 1]
        found = [{place.get(kind) for kind in varying} for place in known]
        if any(len(one) != 1 or None in one for one in found):
            return None
        numbers = [number for one in found for number in one if number is not None]
    return numbers if len(set(numbers)) == len(numbers) else None


def _by_launch(
    trace: TraceColumns, pids: Pids, sides: tuple[list[str], list[str]]
) -> list[Process]:
    hosts, devices = sides
    check_count("processes", len(hosts), trace)
    launches, work = trace.rows(Category.LAUNCH), trace.rows(*DEVICE_CATEGORIES)
    launched = {host: _correlations(trace, pids, launches, host) for host in hosts}
    members = {host: {host} for host in hosts}
    for device in devices:
        own = _correlations(trace, pids, work, device)
        by = [host for host in hosts if len(np.intersect1d(own, launched[host]))]
        if len(by) != 1:
            shown = ", ".join(hosts[:_SHOWN]) + (", ..." if len(hosts) > _SHOWN else "")
            raise FileFault(
                f"several ranks are merged into one file (processes {shown}), and nothing "
                "tells which of them launched what the devices ran; give each rank's own trace: "
                "0=FILE,1=FILE"
            )
        members[by[0]].add(device)
    return [
        Process(rank, f"process {host}", np.isin(pids, sorted(members[host])), is_guess=True)
        for rank, host in enumerate(hosts)
    ]


def _correlations(trace: TraceColumns, pids: Pids, rows: Rows, pid: str) -> npt.NDArray[np.int64]:
    own = rows[(pids == pid)[trace.thread[rows]]]
    found: npt.NDArray[np.int64] = np.unique(trace.correlation[own])
    return found[found > 0]
