"""What an export lacks, with the option that records or exports it."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.trace.nsys import memory, rows
from dpprof.trace.nsys.database import NsysTables
from dpprof.trace.nsys.ranges import Ranges

HOW = "nsys profile --trace=cuda,nvtx --cuda-graph-trace=node"
_NVTX = "NVTX_EVENTS"
_WARNS = (2, 3)  # severities: a warning, an error
_MOST_SAID, _LONGEST = 3, 200


def not_recorded(tables: NsysTables, waits: rows.Rows, others: int) -> tuple[str, ...]:
    """What the file does not hold that figures need, in words.

    `others` is how many rows were left out that are no device's work.
    """
    said = []
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
    if others:
        said.append(
            f"{others} rows of launches, ranges or waits have values of the wrong type, or do not "
            "say of which process they are, and are left out"
        )
    return tuple(said)


def said_by_nsys(tables: NsysTables) -> tuple[str, ...]:
    """What nsys itself warned of while it recorded, each once: the first few, shortened."""
    rows = tables.texts("DIAGNOSTIC_EVENT", ("severity", "text"))
    said = [" ".join(str(text).split()) for severity, text in rows if severity in _WARNS]
    found = [f"nsys said while recording: {one[:_LONGEST]}" for one in dict.fromkeys(said) if one]
    more = len(found) - _MOST_SAID
    return (*found[:_MOST_SAID], *([f"nsys said {more} things more"] if more > 0 else ()))


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
