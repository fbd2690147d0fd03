"""An export of Nsight Systems to columns, one trace per process that used a GPU.

Times become absolute by ``TARGET_INFO_SESSION_START_TIME``. What a version of the export, or the
way it was recorded, does not have is said with the flag of ``nsys profile`` that records it.
Source: the schema of the exports, versions 3.24 and 3.25.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dpprof.errors import DpprofError
from dpprof.trace.nsys.database import MISSING, Integers, NsysTables, open_export
from dpprof.trace.nsys.memory import device_memory
from dpprof.trace.nsys.not_recorded import HOW, not_recorded, not_told, said_by_nsys
from dpprof.trace.nsys.process_identity import distributed, host_name, launched_as
from dpprof.trace.nsys.ranges import Ranges, ranges_of, read_rows
from dpprof.trace.nsys.rows import (
    Rows,
    Strings,
    device_work,
    launches,
    stream_waits,
)
from dpprof.trace.read.columns import TraceColumns, Unread


def read_nsys(path: Path) -> list[TraceColumns]:
    """The trace of each process with GPU work, in order of process id.

    `path` is an ``.sqlite`` export or a folder that ``nsys export --type parquetdir`` wrote.
    Raises `DpprofError` that names it where it is damaged or holds no GPU work.
    """
    with open_export(path) as tables:
        (epoch,) = tables.integers("TARGET_INFO_SESSION_START_TIME", ("utcEpochNs",))
        strings = Strings(tables)
        calls = launches(tables)
        before = tables.skipped
        device_rows = device_work(tables, strings, calls)
        lost = tables.skipped - before
        processes = np.unique(np.concatenate([one.process for one in device_rows]))
        if not len(processes):
            raise DpprofError(
                f"{path}: an export of Nsight Systems without GPU kernels; record with {HOW}"
            )
        waits = stream_waits(tables, strings)
        every = [*device_rows, calls, waits]
        strings.read(every)
        ranges = read_rows(tables)
        whole = _Whole(
            tables=tables,
            strings=strings,
            epoch_ns=int(epoch[0]) if len(epoch) else 0,
            lacks=(*not_recorded(tables, waits, tables.skipped - lost), *said_by_nsys(tables)),
            lost=lost,
            launched_as=launched_as(tables) if len(processes) == 1 else None,
        )
        alone = len(processes) == 1
        first = int(processes[0])
        return [
            _columns(
                [one if alone else one.where(one.process == process) for one in every],
                ranges_of(ranges, process),
                whole if process == first else replace(whole, lacks=()),
                process,
            )
            for process in processes.tolist()
        ]


@dataclass(frozen=True)
class _Whole:
    """What all processes of a file share."""

    tables: NsysTables
    strings: Strings
    epoch_ns: int
    lacks: tuple[str, ...]
    lost: int  # rows of device work that were left out
    launched_as: dict[str, int] | None


def _columns(many: Sequence[Rows], ranges: Ranges, whole: _Whole, process: int) -> TraceColumns:
    """One process's rows, by start."""
    code, names = _named(np.concatenate([one.name for one in many]), whole.strings)
    stream_code, streams = _coded(np.concatenate([one.stream for one in many]))
    thread_code, threads = _coded(np.concatenate([*(one.thread for one in many), ranges.thread]))
    count = len(ranges.start_ns)
    empty = np.full(count, MISSING, dtype=np.int64)
    start = np.concatenate([*(one.start for one in many), ranges.start_ns])
    category = np.concatenate(
        [*(np.full(len(one.start), int(one.category)) for one in many), ranges.category]
    )
    order = np.lexsort((category, start))
    collective = np.concatenate([np.full(len(code), -1), ranges.collective])

    def joined(name: str, rest: Integers) -> Integers:
        return np.concatenate([*(getattr(one, name) for one in many), rest])[order]

    return TraceColumns(
        category=category[order].astype(np.uint8),
        name=np.concatenate([code, ranges.name + len(names)])[order].astype(np.int32),
        thread=thread_code[order].astype(np.int32),
        start_ns=start[order] + whole.epoch_ns,
        end_ns=joined("end", ranges.end_ns) + whole.epoch_ns,
        correlation=joined("correlation", empty),
        stream=np.concatenate([stream_code, np.full(count, -1)])[order].astype(np.int32),
        device=joined("device", empty).astype(np.int32),
        bytes=joined("bytes", empty),
        collective=collective[order].astype(np.int32),
        names=(*names, *ranges.names),
        threads=tuple(_thread(one) for one in threads),
        streams=tuple(map(str, streams)),
        collectives=ranges.collectives,
        thread_names=_thread_names(whole, set(threads)),
        process_names={},
        memory=device_memory(whole.tables, process, whole.epoch_ns),
        distributed=distributed(ranges, whole.launched_as),
        host_name=host_name(whole.tables),
        dpprof=None,
        skipped=whole.lost,
        unread=Unread(work=whole.lost),
        damage=(*whole.lacks, *not_told(ranges, names)),
    )


def _named(ids: Integers, strings: Strings) -> tuple[Integers, list[str]]:
    """Codes of the strings that ids stand for, and the strings, each once."""
    used, code = np.unique(ids, return_inverse=True)
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(strings.texts.get(id, ""), len(numbers)) for id in used.tolist()]
    return np.array(codes, dtype=np.int64)[code], list(numbers)


def _coded(values: Integers) -> tuple[Integers, list[int]]:
    """Codes of values, -1 for `MISSING`, and the values."""
    used, code = np.unique(values, return_inverse=True)
    none = int(len(used) > 0 and used[0] == MISSING)
    return code - none, used[none:].tolist()


def _thread(id: int) -> tuple[str, str]:
    return str(id >> 24 & 0xFFFFFF), str(id & 0xFFFFFF)


def _thread_names(whole: _Whole, wanted: set[int]) -> dict[tuple[str, str], tuple[str, ...]]:
    rows = [
        (name, thread)
        for name, thread in whole.tables.texts("ThreadNames", ("nameId", "globalTid"))
        if isinstance(thread, int) and thread in wanted and isinstance(name, int)
    ]
    known = whole.strings.named(name for name, _ in rows)
    return {_thread(thread): (known[name],) for name, thread in rows if name in known}
