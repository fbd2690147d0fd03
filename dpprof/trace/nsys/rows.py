"""Kernels, copies, sets, graphs, launches and stream waits of an export, as rows of one form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from dpprof.trace.nsys.database import MISSING, Integers, NsysTables
from dpprof.trace.read.columns import STREAM_WAIT, WHOLE_GRAPH, Category, packed_wait

KERNELS, COPIES = "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_MEMCPY"
SETS, LAUNCHES = "CUPTI_ACTIVITY_KIND_MEMSET", "CUPTI_ACTIVITY_KIND_RUNTIME"
GRAPHS = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"
WAITS, EVENTS = "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", "CUPTI_ACTIVITY_KIND_CUDA_EVENT"

_COPY_NAMES = {1: "HtoD", 2: "DtoH", 8: "DtoD", 9: "HtoH", 10: "PtoP"}
_PEER_COPY = 10
_LATEST_NS = 1 << 60  # 36 years after the session began
_WAITS_FOR_EVENT = 2  # CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT
_DEVICE = ("start", "end", "deviceId", "streamId", "correlationId", "globalPid")


@dataclass(frozen=True)
class Rows:
    """Rows of one kind; `name` is the id of a string of the file, or of a text of our own."""

    category: Category
    process: Integers  # globalPid
    thread: Integers  # globalTid; of device work MISSING
    start: Integers
    end: Integers
    device: Integers
    stream: Integers
    correlation: Integers
    name: Integers
    bytes: Integers

    def where(self, chosen: Integers) -> Rows:
        """The rows that are chosen, by mask or position."""
        columns = [field.name for field in fields(self) if field.name != "category"]
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})


class Strings:
    """The strings of the file that rows name, and texts of our own; grows as it is asked."""

    def __init__(self, tables: NsysTables) -> None:
        self._tables = tables
        self._own: dict[str, int] = {}
        self.texts: dict[int, str] = {}

    def id_of(self, text: str) -> int:
        """The id of a text of our own: below those of the file, and below `MISSING`."""
        if text not in self._own:
            self._own[text] = MISSING - 1 - len(self._own)
            self.texts[self._own[text]] = text
        return self._own[text]

    def read(self, many: Sequence[Rows]) -> None:
        """Read the names of these rows."""
        for one in many:
            self.texts |= self._tables.strings(np.unique(one.name))

    def named(self, ids: Iterable[int]) -> dict[int, str]:
        """The strings of other ids."""
        return self._tables.strings(np.array(list(ids), dtype=np.int64))


def device_work(tables: NsysTables, strings: Strings, calls: Rows) -> list[Rows]:
    """Kernels, copies, sets, and graphs that were recorded as a whole, of which times are sound.

    `calls` tell whose the work is where its own rows do not. What is left out counts as skipped.
    """
    every = [kernels(tables), copies(tables, strings), sets(tables, strings)]
    every.append(graphs(tables, strings))
    found = []
    for rows in every:
        rows = _with_process(rows, calls)
        sound = (rows.start <= rows.end) & (rows.end < _LATEST_NS) & (rows.process != MISSING)
        tables.skipped += int((~sound).sum())
        found.append(rows if sound.all() else rows.where(np.flatnonzero(sound)))
    return found


def _with_process(rows: Rows, calls: Rows) -> Rows:
    """Work without a process has that of the calls, where all of them are of one."""
    unknown = rows.process == MISSING
    if not unknown.any():
        return rows
    known = np.unique(np.concatenate([calls.process, rows.process[~unknown]]))
    known = known[known >= 0]
    if len(known) > 1:
        return rows
    return replace(rows, process=np.where(unknown, known[0] if len(known) else 0, rows.process))


def kernels(tables: NsysTables) -> Rows:
    """The kernels."""
    *columns, name = tables.integers(KERNELS, (*_DEVICE, "demangledName"))
    if (name == MISSING).any():
        _, short = tables.integers(KERNELS, ("start", "shortName"))
        name = np.where(name == MISSING, short, name)
    return _device_rows(Category.KERNEL, columns, name)


def copies(tables: NsysTables, strings: Strings) -> Rows:
    """The copies, called as Kineto calls them; one between two devices is peer to peer."""
    more = ("bytes", "copyKind", "srcDeviceId", "dstDeviceId")
    *columns, size, kind, source, target = tables.integers(COPIES, (*_DEVICE, *more))
    between = (source != target) & (source != MISSING) & (target != MISSING)
    kind = np.where(between, _PEER_COPY, kind)
    name = np.zeros(len(size), dtype=np.int64)
    for one in np.unique(kind).tolist():
        name[kind == one] = strings.id_of(f"Memcpy {_COPY_NAMES.get(one, 'Unknown')}")
    return replace(_device_rows(Category.MEMCPY, columns, name), bytes=size)


def sets(tables: NsysTables, strings: Strings) -> Rows:
    """What was set to a value."""
    *columns, size = tables.integers(SETS, (*_DEVICE, "bytes"))
    name = np.full(len(size), strings.id_of("Memset (Device)"), dtype=np.int64)
    return replace(_device_rows(Category.MEMSET, columns, name), bytes=size)


def graphs(tables: NsysTables, strings: Strings) -> Rows:
    """Graphs that were recorded as a whole: what is in them, nobody knows."""
    columns = tables.integers(GRAPHS, _DEVICE)
    name = np.full(len(columns[0]), strings.id_of(WHOLE_GRAPH), dtype=np.int64)
    return _device_rows(Category.KERNEL, columns, name)


def launches(tables: NsysTables) -> Rows:
    """The calls of the runtime and driver."""
    names = ("start", "end", "globalTid", "correlationId", "nameId")
    start, end, thread, correlation, name = tables.integers(LAUNCHES, names)
    none = np.full(len(start), MISSING, dtype=np.int64)
    process = thread >> 24 << 24
    return Rows(Category.LAUNCH, process, thread, start, end, none, none, correlation, name, none)


def stream_waits(tables: NsysTables, strings: Strings) -> Rows:
    """Waits of streams for events, of which it is known where the event was recorded."""
    *columns, kind, event = tables.integers(WAITS, (*_DEVICE, "syncType", "eventSyncId"))
    name = np.full(len(kind), strings.id_of(STREAM_WAIT), dtype=np.int64)
    rows = _device_rows(Category.SYNC, columns, name)
    waiting = kind == _WAITS_FOR_EVENT
    rows, event = rows.where(waiting), event[waiting]
    known = _recorded(tables)
    keys = zip(event.tolist(), rows.process.tolist(), strict=True)
    packed = [packed_wait(*known.get(key, (-1, -1))) for key in keys]
    return replace(rows, bytes=np.array(packed, dtype=np.int64))


def _recorded(tables: NsysTables) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Where each event was recorded, by its number and process; not of numbers that come twice."""
    columns = ("eventSyncId", "globalPid", "streamId", "correlationId", "deviceId")
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    again = set()
    rows = zip(*(one.tolist() for one in tables.integers(EVENTS, columns)), strict=True)
    for sync, process, stream, correlation, device in rows:
        key, place = (sync, process), (stream, correlation, device)
        if found.setdefault(key, place) != place:
            again.add(key)
    return {key: place for key, place in found.items() if key not in again}


def _device_rows(category: Category, columns: Sequence[Integers], name: Integers) -> Rows:
    start, end, device, stream, correlation, process = columns
    none = np.full(len(start), MISSING, dtype=np.int64)
    return Rows(category, process, none, start, end, device, stream, correlation, name, none)
