"""Reads CUDA memory snapshots: what the caching allocator did, and what it holds at the end.

The form is that of ``torch.cuda.memory._dump_snapshot`` (a pickle of plain data) or the same as
JSON: ``segments`` with their blocks, and ``device_traces``, a list of actions per device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpprof.errors import DpprofError
from dpprof.system.inputs import BadInput, decode_json, read_regular
from dpprof.trace.memory.origins import Origin, OriginReader
from dpprof.trace.memory.safe_pickle import load_plain
from dpprof.trace.read.columns import Nanoseconds

MOST_BYTES = 1 << 30
MOST_ENTRIES = 20_000_000

_Integers = npt.NDArray[np.int64]
_LIMIT = 2**62
_MOST_DEVICES = 1024


class AllocatorAction(IntEnum):
    """What the allocator did, as far as it changes what is allocated or reserved."""

    ALLOCATE = 0
    FREE = 1
    RESERVE = 2
    RELEASE = 3


_ACTIONS = {
    "alloc": AllocatorAction.ALLOCATE,
    "free_requested": AllocatorAction.FREE,  # torch counts it as freed from here on
    "segment_alloc": AllocatorAction.RESERVE,
    "segment_map": AllocatorAction.RESERVE,
    "segment_free": AllocatorAction.RELEASE,
    "segment_unmap": AllocatorAction.RELEASE,
}


class AllocatorEntry(NamedTuple):
    """An action; times in absolute nanoseconds, to the microsecond."""

    at_ns: int
    action: AllocatorAction
    address: int
    size: int
    origin: Origin


class SnapshotBlock(NamedTuple):
    """A block that is allocated when the snapshot is taken; size as the allocator rounded it."""

    address: int
    size: int
    origin: Origin


@dataclass(frozen=True)
class MemorySnapshot:
    """One device of a snapshot; `skipped` counts damaged entries, which are left out.

    `overflowed`: its ring was too small, so that the history begins late. `others` counts further
    devices that have a history.
    """

    device: int
    entries: tuple[AllocatorEntry, ...]
    blocks: tuple[SnapshotBlock, ...]
    reserved_bytes: int
    skipped: int
    overflowed: bool = False
    others: int = 0

    @property
    def at_ns(self) -> Nanoseconds:
        """Times of the entries, never falling."""
        times = np.array([one.at_ns for one in self.entries], dtype=np.int64)
        return np.maximum.accumulate(times) if len(times) else times


def read_snapshot(file: Path, most_bytes: int = MOST_BYTES) -> MemorySnapshot:
    """The device of the snapshot in `file` that holds or did most.

    Raises `DpprofError` that names the file: not a snapshot, damaged, too large, or a pickle of
    anything but plain data, of which nothing is run.
    """
    content, size = _load(file, most_bytes)
    segments, traces = (
        content.get(key) if isinstance(content, dict) else None
        for key in ("segments", "device_traces")
    )
    if not isinstance(segments, list) or not isinstance(traces, list):
        raise DpprofError(
            f"{file}: not a memory snapshot: no lists 'segments' and 'device_traces'; write one "
            "with torch.cuda.memory._dump_snapshot"
        )
    _check_count(file, segments, traces, size)
    reader = OriginReader()
    held = _segments_by_device(segments)
    devices = sorted(
        held.keys()
        | {device for device, trace in enumerate(traces) if trace and isinstance(trace, list)}
    )
    found = [
        _device(
            device, traces[device] if device < len(traces) else [], held.get(device, []), reader
        )
        for device in devices
    ]
    if not found:
        raise DpprofError(f"{file}: the snapshot is empty; take it while the model is on the GPU")
    largest = max(found, key=lambda one: (len(one.entries), one.reserved_bytes))
    _check_sizes(file, largest)
    others = sum(one is not largest and len(one.entries) > 0 for one in found)
    return replace(largest, overflowed=_overflowed(content, largest.device), others=others)


def _overflowed(content: Any, device: int) -> bool:
    """Whether the snapshot says that its history of a device lost its beginning."""
    said = content.get("trace_alloc_overflowed")
    return isinstance(said, list) and device < len(said) and said[device] is True


def _check_count(file: Path, segments: list[Any], traces: list[Any], size: int) -> None:
    """Refuse more than there may be, and more than the file has bytes to say.

    Objects that a pickle holds many times over would make any amount of work of a few bytes.
    """
    blocks = (segment.get("blocks") for segment in segments if isinstance(segment, dict))
    lists = [segments, *blocks, *traces]
    count = sum(len(one) for one in lists if isinstance(one, list))
    if count > size:
        raise DpprofError(
            f"{file}: {count} blocks and entries in {size} bytes: the same ones over and over, "
            "which no allocator writes; write the snapshot again"
        )
    if count > MOST_ENTRIES:
        raise DpprofError(f"{file}: {count} entries are too many; record with max_entries")


def _check_sizes(file: Path, snapshot: MemorySnapshot) -> None:
    """Refuse sizes whose sums no column could hold."""
    sizes = [sum(one.size for one in snapshot.entries), sum(one.size for one in snapshot.blocks)]
    if max(*sizes, snapshot.reserved_bytes) >= _LIMIT // 4:
        raise DpprofError(
            f"{file}: its sizes add up to more than any memory; write the snapshot again"
        )


def _load(file: Path, most_bytes: int) -> tuple[Any, int]:
    """The content, and the bytes that it was made of."""
    try:
        data = read_regular(file, most_bytes)
    except OSError as error:
        raise DpprofError(f"{file}: cannot be read ({error.strerror})") from error
    except BadInput as error:
        raise DpprofError(f"{file}: {error}; record with a smaller max_entries") from error
    if data.lstrip()[:1] != b"{":
        return load_plain(data, file), len(data)
    try:
        return decode_json(data), len(data)
    except BadInput as error:
        raise DpprofError(f"{file}: not valid JSON ({error}); write the snapshot again") from error


def _segments_by_device(segments: list[Any]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for segment in segments:
        device = segment.get("device", 0) if isinstance(segment, dict) else None
        if type(device) is int and 0 <= device < _MOST_DEVICES:
            found.setdefault(device, []).append(segment)
    return found


def _device(
    device: int, trace: Any, segments: list[dict[str, Any]], reader: OriginReader
) -> MemorySnapshot:
    written = trace if isinstance(trace, list) else []
    entries = [_entry(one, reader) for one in written]
    blocks = [block for segment in segments for block in _blocks(segment, reader)]
    return MemorySnapshot(
        device=device,
        entries=tuple(one for one in entries if isinstance(one, AllocatorEntry)),
        blocks=tuple(blocks),
        reserved_bytes=sum(_integer(one.get("total_size")) or 0 for one in segments),
        skipped=sum(one is None for one in entries),
    )


def _entry(one: Any, reader: OriginReader) -> AllocatorEntry | bool | None:
    """The entry; True for an action that changes nothing; None for a damaged one."""
    if not isinstance(one, dict) or not isinstance(one.get("action"), str):
        return None
    action = _ACTIONS.get(one["action"])
    if action is None:
        return True
    time, address, size = (_integer(one.get(key)) for key in ("time_us", "addr", "size"))
    if time is None or address is None or size is None or time > _LIMIT // 1000:
        return None
    origin = reader.read(one) if action is AllocatorAction.ALLOCATE else Origin.NOT_RECORDED
    return AllocatorEntry(time * 1000, action, address, size, origin)


def _blocks(segment: dict[str, Any], reader: OriginReader) -> Iterator[SnapshotBlock]:
    """What is allocated; older snapshots give no addresses: blocks follow one another."""
    address = _integer(segment.get("address")) or 0
    blocks = segment.get("blocks")
    for block in blocks if isinstance(blocks, list) else ():
        size = _integer(block.get("size")) if isinstance(block, dict) else None
        if size is None:
            continue
        address = next((at for at in (_integer(block.get("address")),) if at is not None), address)
        if block.get("state") == "active_allocated":
            yield SnapshotBlock(address, size, reader.read(_with_frames(block)))
        address += size


def _with_frames(block: dict[str, Any]) -> dict[str, Any]:
    """Snapshots of torch 2.0 keep a block's frames in its history."""
    history = block.get("history")
    if "frames" in block or not isinstance(history, list) or not history:
        return block
    last = history[0]
    return last if isinstance(last, dict) else block


def _integer(value: Any) -> int | None:
    if type(value) is float and 0 <= value < _LIMIT:
        value = int(value)
    return value if type(value) is int and 0 <= value < _LIMIT else None
