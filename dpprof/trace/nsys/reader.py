"""An export of Nsight Systems to columns, one trace per process that used a GPU.

Times become absolute by ``TARGET_INFO_SESSION_START_TIME``. What a version of the export, or the
way it was recorded, does not have is said with the flag of ``nsys profile`` that records it.
Source: the schema of the exports, versions 3.24 and 3.25.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpprof.errors import DpprofError
from dpprof.trace.nsys.database import MISSING, Integers, NsysTables, open_export
from dpprof.trace.nsys.ranges import Ranges, ranges_of, read_rows
from dpprof.trace.read.columns import Category, TraceColumns, no_memory

_KERNELS, _COPIES = "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_MEMCPY"
_SETS, _LAUNCHES = "CUPTI_ACTIVITY_KIND_MEMSET", "CUPTI_ACTIVITY_KIND_RUNTIME"
_GRAPHS, _NVTX = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE", "NVTX_EVENTS"
_COPY_NAMES = {1: "HtoD", 2: "DtoH", 8: "DtoD", 9: "HtoH", 10: "PtoP"}
_PEER_COPY = 10
_GRAPH = "CUDA graph"

_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
_SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
_RANK_VARIABLE = re.compile(rf"(?:^|;)({'|'.join((*_RANKS, *_SIZES))})=(\d{{1,6}})(?=;|$)")
_HOW = "nsys profile --trace=cuda,nvtx --cuda-graph-trace=node"


@dataclass(frozen=True)
class _Rows:
    """Rows of one kind; `name` is a position in the strings of the file, or a text of our own."""

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


def read_nsys(path: Path) -> list[TraceColumns]:
    """The trace of each process with GPU work, in order of process id.

    `path` is an ``.sqlite`` export or a folder that ``nsys export --type parquetdir`` wrote.
    Raises `DpprofError` that names it where it is damaged or holds no GPU work.
    """
    with open_export(path) as tables:
        epoch_ns, strings = _epoch(tables), _Strings(tables)
        device_rows = [_kernels(tables), _copies(tables, strings), _sets(tables, strings)]
        graphs = _graphs(tables, strings)
        launches = _launches(tables)
        processes = np.unique(np.concatenate([one.process for one in (*device_rows, graphs)]))
        if not len(processes):
            raise DpprofError(
                f"{path}: an export of Nsight Systems without GPU kernels; record with {_HOW}"
            )
        ranges = read_rows(tables, strings.texts)
        damage = _damage(tables, graphs)
        launched_as = _launched_as(tables) if len(processes) == 1 else None
        return [
            _columns(
                [_of_process(one, int(process)) for one in (*device_rows, graphs, launches)],
                ranges_of(ranges, int(process)),
                _Whole(tables, strings, epoch_ns, damage, launched_as),
            )
            for process in processes.tolist()
        ]


class _Strings:
    """The strings of the file, and texts of our own behind them; grows as it is asked."""

    def __init__(self, tables: NsysTables) -> None:
        rows = tables.texts("StringIds", ("id", "value"))
        self.texts = {id: str(value) for id, value in rows if isinstance(id, int)}
        self._own: dict[str, int] = {}
        self._next = max(self.texts, default=0) + 1

    def id_of(self, text: str) -> int:
        """The id of a text of our own."""
        if text not in self._own:
            self._own[text] = self._next
            self.texts[self._next] = text
            self._next += 1
        return self._own[text]


@dataclass(frozen=True)
class _Whole:
    """What all processes of a file share."""

    tables: NsysTables
    strings: _Strings
    epoch_ns: int
    damage: tuple[str, ...]
    launched_as: dict[str, int] | None


def _epoch(tables: NsysTables) -> int:
    (epoch,) = tables.integers("TARGET_INFO_SESSION_START_TIME", ("utcEpochNs",))
    return int(epoch[0]) if len(epoch) else 0


def _kernels(tables: NsysTables) -> _Rows:
    names = ("start", "end", "deviceId", "streamId", "correlationId", "globalPid")
    start, end, device, stream, correlation, process, name, short = tables.integers(
        _KERNELS, (*names, "demangledName", "shortName")
    )
    none = np.full(len(start), MISSING, dtype=np.int64)
    title = np.where(name == MISSING, short, name)
    return _Rows(
        Category.KERNEL, process, none, start, end, device, stream, correlation, title, none
    )


def _copies(tables: NsysTables, strings: _Strings) -> _Rows:
    names = ("start", "end", "deviceId", "streamId", "correlationId", "globalPid", "bytes")
    start, end, device, stream, correlation, process, size, kind, source, target = tables.integers(
        _COPIES, (*names, "copyKind", "srcDeviceId", "dstDeviceId")
    )
    between = (source != target) & (source != MISSING) & (target != MISSING)
    kind = np.where(between, _PEER_COPY, kind)
    none = np.full(len(start), MISSING, dtype=np.int64)
    name = np.zeros(len(start), dtype=np.int64)
    for one in np.unique(kind).tolist():
        name[kind == one] = strings.id_of(f"Memcpy {_COPY_NAMES.get(one, 'Unknown')}")
    return _Rows(
        Category.MEMCPY, process, none, start, end, device, stream, correlation, name, size
    )


def _sets(tables: NsysTables, strings: _Strings) -> _Rows:
    names = ("start", "end", "deviceId", "streamId", "correlationId", "globalPid", "bytes")
    start, end, device, stream, correlation, process, size = tables.integers(_SETS, names)
    none = np.full(len(start), MISSING, dtype=np.int64)
    name = np.full(len(start), strings.id_of("Memset (Device)"), dtype=np.int64)
    return _Rows(
        Category.MEMSET, process, none, start, end, device, stream, correlation, name, size
    )


def _graphs(tables: NsysTables, strings: _Strings) -> _Rows:
    """Graphs that were recorded as a whole: what is in them, nobody knows."""
    names = ("start", "end", "deviceId", "streamId", "correlationId", "globalPid")
    start, end, device, stream, correlation, process = tables.integers(_GRAPHS, names)
    none = np.full(len(start), MISSING, dtype=np.int64)
    name = np.full(len(start), strings.id_of(_GRAPH), dtype=np.int64)
    return _Rows(
        Category.KERNEL, process, none, start, end, device, stream, correlation, name, none
    )


def _launches(tables: NsysTables) -> _Rows:
    names = ("start", "end", "globalTid", "correlationId", "nameId")
    start, end, thread, correlation, name = tables.integers(_LAUNCHES, names)
    none = np.full(len(start), MISSING, dtype=np.int64)
    process = thread >> 24 << 24
    return _Rows(Category.LAUNCH, process, thread, start, end, none, none, correlation, name, none)


def _of_process(rows: _Rows, process: int) -> _Rows:
    own = rows.process == process
    values = {
        name: getattr(rows, name)[own] for name in _Rows.__dataclass_fields__ if name != "category"
    }
    return _Rows(category=rows.category, **values)


def _damage(tables: NsysTables, graphs: _Rows) -> tuple[str, ...]:
    """What was not recorded, with the flag that records it."""
    said = []
    if len(graphs.start):
        said.append(
            f"{len(graphs.start)} CUDA graphs were recorded as a whole, so their kernels are not "
            "known and count as computation: record with --cuda-graph-trace=node"
        )
    if not tables.has(_LAUNCHES):
        said.append("no launches were recorded, so nobody knows which step a kernel belongs to")
    if not tables.has(_NVTX):
        said.append("no NVTX ranges were recorded, so no steps and slots: add --trace=cuda,nvtx")
    if tables.skipped:
        said.append(f"{tables.skipped} rows have values of the wrong type and are left out")
    return tuple(said)


def _columns(many: Sequence[_Rows], ranges: Ranges, whole: _Whole) -> TraceColumns:
    """One process's rows, by start."""
    ids = np.concatenate([one.name for one in many])
    used, code = np.unique(ids, return_inverse=True)
    names = [whole.strings.texts.get(id, "") for id in used.tolist()]
    stream = np.concatenate([one.stream for one in many])
    streams, stream_code = np.unique(stream[stream != MISSING], return_inverse=True)
    stream_codes = np.full(len(stream), -1)
    stream_codes[stream != MISSING] = stream_code
    count = len(ranges.start_ns)
    empty = np.full(count, MISSING, dtype=np.int64)
    thread = np.concatenate([*(one.thread for one in many), ranges.thread])
    threads = np.unique(thread[thread != MISSING])
    thread_code = np.where(thread == MISSING, -1, np.searchsorted(threads, thread))
    start = np.concatenate([*(one.start for one in many), ranges.start_ns])
    category = np.concatenate(
        [*(np.full(len(one.start), int(one.category)) for one in many), ranges.category]
    )
    order = np.lexsort((category, start))
    collective = np.concatenate([np.full(len(ids), -1), ranges.collective])

    def joined(name: str, rest: Integers) -> Integers:
        return np.concatenate([*(getattr(one, name) for one in many), rest])[order]

    return TraceColumns(
        category=category[order].astype(np.uint8),
        name=np.concatenate([code, ranges.name + len(names)])[order].astype(np.int32),
        thread=thread_code[order].astype(np.int32),
        start_ns=start[order] + whole.epoch_ns,
        end_ns=joined("end", ranges.end_ns) + whole.epoch_ns,
        correlation=joined("correlation", empty),
        stream=np.concatenate([stream_codes, np.full(count, -1)])[order].astype(np.int32),
        device=joined("device", empty).astype(np.int32),
        bytes=joined("bytes", empty),
        collective=collective[order].astype(np.int32),
        names=(*names, *ranges.names),
        threads=tuple(_thread(one) for one in threads.tolist()),
        streams=tuple(map(str, streams.tolist())),
        collectives=ranges.collectives,
        thread_names=_thread_names(whole, threads),
        process_names={},
        memory=no_memory(),
        distributed=_distributed(ranges, whole.launched_as),
        host_name=_host(whole.tables),
        dpprof=None,
        skipped=0,
        damage=whole.damage,
    )


def _thread(id: int) -> tuple[str, str]:
    return str(id >> 24 & 0xFFFFFF), str(id & 0xFFFFFF)


def _thread_names(whole: _Whole, threads: Integers) -> dict[tuple[str, str], tuple[str, ...]]:
    known, wanted = whole.strings.texts, set(threads.tolist())
    return {
        _thread(thread): (known[name],)
        for name, thread in whole.tables.texts("ThreadNames", ("nameId", "globalTid"))
        if isinstance(thread, int) and thread in wanted and isinstance(name, int) and name in known
    }


def _distributed(ranges: Ranges, environment: dict[str, int] | None) -> dict[str, int] | None:
    """Whose trace it is, as Kineto would say: by the job's own communicator, else as launched."""
    if ranges.world is None:
        return environment
    return {"rank": ranges.world.rank, "world_size": ranges.world.ranks}


def _launched_as(tables: NsysTables) -> dict[str, int] | None:
    """What the environment that the profiler was started in says of the rank.

    It is that of the profiled process only where each rank has a profiler of its own.
    """
    rows = tables.texts("TARGET_INFO_SYSTEM_ENV", ("name", "value"))
    text = next((str(value) for name, value in rows if name == "DeviceEnvironment"), "")
    found = dict(_RANK_VARIABLE.findall(text))
    rank = next((found[name] for name in _RANKS if name in found), None)
    if rank is None:
        return None
    size = next((found[name] for name in _SIZES if name in found), None)
    return {"rank": int(rank)} | ({} if size is None else {"world_size": int(size)})


def _host(tables: NsysTables) -> str:
    rows = tables.texts("TARGET_INFO_SYSTEM_ENV", ("name", "value"))
    return next((str(value) for name, value in rows if name == "Hostname"), "")
