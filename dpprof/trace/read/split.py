"""One trace to one part per rank and device: merged ranks apart, and the devices of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from dpprof.tables.devices import MOST_DEVICES
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Category,
    Codes,
    Mask,
    MemoryColumns,
    Rows,
    TraceColumns,
    unpacked_waits,
)
from dpprof.trace.read.processes import Process, check_count, find_processes

_HOST = 0  # the device type of host memory
_PER_ROW = tuple(
    field.name
    for field in fields(TraceColumns)
    if field.type.startswith(("Codes", "Nanos", "npt."))
)


class Share(NamedTuple):
    """What one rank did on one device.

    `process` is None where the file holds one rank; `device` None where the rank has one device,
    and `is_first` says which of several stands for the rank. `words` are what there is to say.
    """

    trace: TraceColumns
    process: Process | None = None
    device: int | None = None
    is_first: bool = True
    words: tuple[str, ...] = ()


def split_trace(trace: TraceColumns) -> list[Share]:
    """The shares of a trace, by rank, the first device of each before the others.

    Most traces are one rank's on one device and come back as they are. Raises `FileFault` where
    ranks were merged and cannot be told apart.
    """
    processes = find_processes(trace)
    if not processes:
        return _by_device(trace)
    check_count("ranks", len(processes), trace)
    return [
        share._replace(process=process)
        for process in processes
        for share in _by_device(_of_process(trace, process))
    ]


def split_processes(traces: Sequence[TraceColumns]) -> list[Share]:
    """The shares of a file of which each process has a trace of its own already.

    Several processes are the ranks that they say, each another; else their order says which.
    """
    if len(traces) == 1:
        return _by_device(traces[0])
    said = [_said_rank(trace) for trace in traces]
    is_guess = None in said or len(set(said)) < len(said)
    shares = []
    for number, (trace, own) in enumerate(zip(traces, said, strict=True)):
        rank = number if is_guess or own is None else own
        name = f"process {trace.threads[0][0]}" if trace.threads else f"process {number}"
        every = np.ones(len(trace.threads), dtype=bool)
        process = Process(rank, name, every, is_guess)
        shares += [share._replace(process=process) for share in _by_device(trace)]
    return sorted(shares, key=lambda share: share.process.rank if share.process else 0)


def _said_rank(trace: TraceColumns) -> int | None:
    distributed = trace.distributed
    rank = distributed.get("rank") if isinstance(distributed, Mapping) else None
    return rank if isinstance(rank, int) else None


def _of_process(trace: TraceColumns, process: Process) -> TraceColumns:
    """Its rows, with the names and collectives that they use; nothing tells whose memory it is."""
    part = _with_rows(trace, np.append(process.threads, False)[trace.thread])
    name, names = _compacted(part.name, trace.names)
    collective, collectives = _compacted(part.collective, trace.collectives)
    distributed = trace.distributed
    if isinstance(distributed, Mapping):
        distributed = {key: value for key, value in distributed.items() if key != "rank"}
    return replace(
        part,
        name=name,
        names=names,
        collective=collective,
        collectives=collectives,
        memory=_memory_where(trace.memory, np.zeros(len(trace.memory.at_ns), dtype=bool)),
        distributed=distributed,
        dpprof=None,
    )


def _compacted(codes: Codes, values: tuple[Any, ...]) -> tuple[Codes, tuple[Any, ...]]:
    used, code = np.unique(codes, return_inverse=True)
    none = int(len(used) > 0 and used[0] < 0)
    kept = tuple(values[one] for one in used[none:].tolist())
    return (code - none).astype(np.int32), kept


def _with_rows(trace: TraceColumns, keep: Mask) -> TraceColumns:
    return replace(trace, **{name: getattr(trace, name)[keep] for name in _PER_ROW})


def _memory_where(memory: MemoryColumns, keep: Mask) -> MemoryColumns:
    return MemoryColumns(
        **{field.name: getattr(memory, field.name)[keep] for field in fields(MemoryColumns)}
    )


def _by_device(trace: TraceColumns) -> list[Share]:
    work = trace.rows(*DEVICE_CATEGORIES)
    trace = _with_devices(trace, work)
    kernels = trace.rows(Category.KERNEL)
    driven = _devices(trace.device[kernels if len(kernels) else work])
    if len(driven) < 2:
        return [_on_one(trace, work, driven)]
    check_count("devices", len(driven), trace)
    trace = _with_certain_waits(trace, work)
    first = _first(trace, kernels, driven)
    order = [first, *(device for device in driven if device != first)]
    listed = ", ".join(map(str, sorted(order)))
    words = [f"one process drives {len(order)} devices ({listed}): each is a row of its own"]
    unknown = int((~np.isin(trace.device[work], driven)).sum())
    if unknown:
        words.append(
            f"{unknown} device activities do not say on which of the devices {listed} they ran, or "
            "are copies on a device that computes nothing: they are left out"
        )
    return [
        Share(
            _on_device(trace, device),
            device=device,
            is_first=device == first,
            words=tuple(words) if device == first else (),
        )
        for device in order
    ]


def _with_certain_waits(trace: TraceColumns, work: Rows) -> TraceColumns:
    """A wait that does not say on which device is for nothing known, where several have the stream.

    Kineto numbers the streams of each device anew, and gives of an event the stream alone.
    """
    waits = trace.rows(Category.SYNC)
    stream, _, device = unpacked_waits(trace.bytes[waits])
    pairs = np.unique(np.stack([trace.stream[work], trace.device[work]]), axis=1)
    streams, count = np.unique(pairs[0], return_counts=True)
    several = [trace.streams[one] for one in streams[(count > 1) & (streams >= 0)].tolist()]
    doubtful = (device < 0) & np.isin(stream, [int(one) for one in several if one.isdecimal()])
    known = trace.bytes.copy()
    known[waits[doubtful]] = -1
    return replace(trace, bytes=known)


def _with_devices(trace: TraceColumns, work: Rows) -> TraceColumns:
    """Where no row names its device, the process's number does: Kineto and converters write it."""
    if not len(work) or (trace.device[work] >= 0).any():
        return trace
    pids = [pid for pid, _ in trace.threads]
    numbers = [int(one) if _is_device(one) else -1 for one in pids]
    found = np.array([*numbers, -1], dtype=np.int32)[trace.thread[work]]  # -1: no thread is named
    if (found < 0).any() or len(np.unique(found)) < 2:
        return trace
    device = trace.device.copy()
    device[work] = found
    return replace(trace, device=device)


def _is_device(pid: str) -> bool:
    return pid.isascii() and pid.isdecimal() and len(pid) < 5 and int(pid) < MOST_DEVICES


def _devices(device: Codes) -> list[int]:
    found = np.unique(device)
    return [int(one) for one in found if 0 <= one < MOST_DEVICES]


def _first(trace: TraceColumns, kernels: Rows, driven: list[int]) -> int:
    """The device that communicates with other ranks, by what Kineto says, else by names."""
    named = np.array(["nccl" in name.lower() for name in trace.names], dtype=bool)
    said = trace.collective[kernels] >= 0
    called = np.append(named, False)[trace.name[kernels]]
    for talks in (said, called):
        counts = [int((talks & (trace.device[kernels] == device)).sum()) for device in driven]
        if any(counts):
            return driven[int(np.argmax(counts))]
    return driven[0]


def _on_one(trace: TraceColumns, work: Rows, driven: list[int]) -> Share:
    """The trace, without copies on devices that compute nothing and without others' memory."""
    words = []
    device = driven[0] if driven else -1
    elsewhere = work[~np.isin(trace.device[work], [device, -1])] if driven else work[:0]
    if len(elsewhere):
        others = ", ".join(map(str, _devices(trace.device[elsewhere])))
        words.append(
            f"{len(elsewhere)} copies on device {others}, where no kernel ran, are left out: the "
            f"figures are of device {device}"
        )
        keep = np.ones(len(trace.category), dtype=bool)
        keep[elsewhere] = False
        trace = _with_rows(trace, keep)
    memory = trace.memory
    known = _devices(memory.device[memory.device_type != _HOST])
    if driven and len(known) > 1:
        trace = replace(trace, memory=_memory_where(memory, _of_device(memory, device)))
        others = ", ".join(str(one) for one in known if one != device)
        words.append(
            f"the memory is that of device {device}, where the kernels ran; that of device "
            f"{others} is left out"
            if device in known
            else f"memory events are of the devices {others}, and none of device {device}, where "
            "the kernels ran: memory is n/a"
        )
    return Share(trace, words=tuple(words))


def _on_device(trace: TraceColumns, device: int) -> TraceColumns:
    keep = ~np.isin(trace.category, DEVICE_CATEGORIES) | (trace.device == device)
    memory = _memory_where(trace.memory, _of_device(trace.memory, device))
    return replace(_with_rows(trace, keep), memory=memory)


def _of_device(memory: MemoryColumns, device: int) -> Mask:
    own: Mask = (memory.device_type == _HOST) | (memory.device == device)
    return own
