"""What an export lacks, with the option that records or exports it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpprof.trace.nsys import memory, rows
from dpprof.trace.nsys.database import NsysTables
from dpprof.trace.nsys.ranges import Ranges

HOW = "nsys profile --trace=cuda,nvtx --cuda-graph-trace=node"
_NVTX = "NVTX_EVENTS"


def not_recorded(tables: NsysTables, graphs: rows.Rows, waits: rows.Rows) -> tuple[str, ...]:
    """What the file does not hold that figures need, in words."""
    said = []
    if len(graphs.start):
        said.append(
            f"{len(graphs.start)} CUDA graphs were recorded as a whole, so their kernels are not "
            "known and count as computation: record with --cuda-graph-trace=node"
        )
    if not tables.has(rows.LAUNCHES):
        said.append(
            "no launches were recorded, so nobody knows which step a kernel belongs to: add "
            "--trace=cuda"
        )
    if not tables.has(_NVTX):
        said.append("no NVTX ranges were recorded, so no steps and slots: add --trace=cuda,nvtx")
    if len(waits.start) and (waits.bytes < 0).all():
        said.append(
            "streams wait for events, and where these were recorded is not in the file: what "
            "blocks is n/a; record with --cuda-event-trace=true (nsys 2025.1 or newer)"
        )
    if len(tables.integers(memory.TABLE, ("start",))[0]):
        said.append("memory is what CUDA gave the process: of torch's allocator, what it reserves")
    else:
        said.append("memory is n/a: record with --cuda-memory-usage=true")
    if tables.skipped:
        said.append(
            f"{tables.skipped} rows have values of the wrong type, end before they begin, or do "
            "not say of which process they are, and are left out"
        )
    return tuple(said)


def not_named(work: Sequence[rows.Rows], strings: rows.Strings) -> tuple[str, ...]:
    """That work has no name, in words: what it is, nobody knows then."""
    ids = np.concatenate([one.name for one in work])
    used, count = np.unique(ids, return_counts=True)
    lost = sum(
        int(many)
        for id, many in zip(used.tolist(), count.tolist(), strict=True)
        if id not in strings.texts
    )
    if not lost:
        return ()
    return (
        f"{lost} of {len(ids)} device activities have no name in the file (StringIds), and count "
        "as computation: export it again",
    )


def not_told(ranges: Ranges, names: Sequence[str]) -> tuple[str, ...]:
    """What NCCL does not say in this process, in words."""
    talks = any("nccl" in name.lower() for name in names)
    if talks and not ranges.calls:
        return (
            "NCCL's own NVTX ranges are not there, so groups and peers are n/a: record with "
            "--trace=cuda,nvtx, without NCCL_NVTX_DISABLE",
        )
    if ranges.calls and not ranges.sized:
        return (
            "NCCL's ranges have no payload, so groups and peers are n/a: export with "
            "--include-blobs=true",
        )
    return ()
