"""What the parser makes of one trace file: plain columns, before anything is interpreted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Category(IntEnum):
    """The event categories that are read; all others are skipped by the parser."""

    KERNEL = 0
    MEMCPY = 1
    MEMSET = 2
    LAUNCH = 3
    ANNOTATION = 4
    OPERATOR = 5
    SYNC = 6


CATEGORIES: dict[str, Category] = {
    "kernel": Category.KERNEL,
    "gpu_memcpy": Category.MEMCPY,
    "gpu_memset": Category.MEMSET,
    "mtia_ccp_events": Category.KERNEL,
    "hpu_op": Category.KERNEL,
    "cuda_runtime": Category.LAUNCH,
    "cuda_driver": Category.LAUNCH,
    "hip_runtime": Category.LAUNCH,
    "hip_driver": Category.LAUNCH,
    "xpu_runtime": Category.LAUNCH,
    "xpu_driver": Category.LAUNCH,
    "mtia_runtime": Category.LAUNCH,
    "privateuse1_runtime": Category.LAUNCH,
    "privateuse1_driver": Category.LAUNCH,
    "user_annotation": Category.ANNOTATION,
    "cpu_op": Category.OPERATOR,
    "cuda_sync": Category.SYNC,
    # PyTorch 1.8 and 1.9
    "Kernel": Category.KERNEL,
    "Memcpy": Category.MEMCPY,
    "Memset": Category.MEMSET,
    "Runtime": Category.LAUNCH,
    "Driver": Category.LAUNCH,
    "Operator": Category.OPERATOR,
    "User Annotation": Category.ANNOTATION,
    # Paddle; its kernels, copies and operators are called as those of PyTorch 1.8
    "CudaRuntime": Category.LAUNCH,
    "ProfileStep": Category.ANNOTATION,
    "UserDefined": Category.ANNOTATION,
    "PythonUserDefined": Category.ANNOTATION,
    "Dataloader": Category.ANNOTATION,
    "Forward": Category.ANNOTATION,
    "Backward": Category.ANNOTATION,
    "Optimization": Category.ANNOTATION,
}
"""The text of a category, by writer and version, to what it is."""

SCHEDULE_CALLS = ("): forward_step", "): backward_step")
"""How names of ``python_function`` rows end that are read, as annotations: in traces with call
stacks, the calls of Megatron's ``schedules.py`` are all that says what its schedule did."""

SCHEDULE_FILE = "schedules.py("

STREAM_WAIT = "Stream Wait Event"
"""What Kineto calls a row of `Category.SYNC` of a stream that waits for an event.

Its stream is the one that waits, its correlation that of the call; its `bytes` say what for."""

WHOLE_GRAPH = "CUDA graph"
"""What a graph is called of which nothing but its begin and end was recorded."""

_STREAM_BITS = 22
_MOST_STREAMS, _MOST_DEVICES = 1 << _STREAM_BITS, 255


def packed_wait(stream: int, correlation: int, device: int = -1) -> int:
    """What a wait is for: where the event was recorded, and by which call; or -1.

    `device` is -1 where it is not told.
    """
    known = 0 <= stream < _MOST_STREAMS and 0 < correlation < 2**32
    known &= -1 <= device < _MOST_DEVICES
    return ((device + 1) << _STREAM_BITS | stream) << 32 | correlation if known else -1


def unpacked_waits(packed: Nanoseconds) -> tuple[Nanoseconds, Nanoseconds, Nanoseconds]:
    """The stream, the correlation and the device of packed waits that are none of them -1."""
    place = packed >> 32
    return place & (_MOST_STREAMS - 1), packed & 0xFFFFFFFF, (place >> _STREAM_BITS) - 1


DEVICE_CATEGORIES = (Category.KERNEL, Category.MEMCPY, Category.MEMSET)


@dataclass(frozen=True, slots=True)
class Collective:
    """What Kineto says about a collective; "" and -1 where it does not say.

    `source` and `destination` are numbers within the group, or of all ranks: Kineto's writers
    differ. `identity` is the same on all participants of a collective, and of it alone.
    """

    name: str
    group: str
    description: str
    ranks: str  # as written: "[0, 1, 2]", shortened with "..." in large groups
    dtype: str
    elements: int  # that this rank sends
    source: int
    destination: int
    sequence: int
    size: int = -1  # of the group
    identity: str = ""
    tag: int = -1  # of a message


@dataclass(frozen=True)
class MemoryColumns:
    """The ``[memory]`` events, in file order; -1 where a total or the address is not written."""

    at_ns: Nanoseconds
    change_bytes: npt.NDArray[np.int64]
    allocated_bytes: npt.NDArray[np.int64]
    reserved_bytes: npt.NDArray[np.int64]
    address: npt.NDArray[np.int64]
    device_type: Codes  # 0 CPU, 1 CUDA, 6 HIP
    device: Codes


@dataclass(frozen=True, slots=True)
class Unread:
    """What of a file is known to be missing: device activities, memory events, or its end."""

    work: int = 0
    memory: int = 0
    is_cut: bool = False


@dataclass(frozen=True)
class TraceColumns:
    """One trace file as columns: one row per complete event of a known category, in file order.

    `name`, `thread`, `stream` and `collective` are positions in the tuples `names`, `threads`
    (pid and tid, as text), `streams` and `collectives`; -1 where the event has none. A thread or a
    process may have been named more than once. `start_ns`
    and `end_ns` are exact and absolute. `skipped` counts events with values of the wrong type,
    `unread` what of the file is missing;
    `damage` says what is wrong with the file, with the byte where it is.
    """

    category: npt.NDArray[np.uint8]
    name: Codes
    thread: Codes
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    correlation: npt.NDArray[np.int64]
    stream: Codes
    device: Codes
    bytes: npt.NDArray[np.int64]
    collective: Codes
    names: tuple[str, ...]
    threads: tuple[tuple[str, str], ...]
    streams: tuple[str, ...]
    collectives: tuple[Collective, ...]
    thread_names: dict[tuple[str, str], tuple[str, ...]]
    process_names: dict[str, tuple[str, ...]]
    memory: MemoryColumns
    distributed: Any  # Kineto's "distributedInfo", unchecked
    host_name: Any  # unchecked
    dpprof: Any  # our own metadata, unchecked
    skipped: int
    damage: tuple[str, ...] = ()
    devices: Any = None  # Kineto's "deviceProperties", unchecked
    unread: Unread = Unread()

    def rows(self, *categories: Category) -> Rows:
        """Positions of the events of these categories, in file order."""
        wanted = np.zeros(len(self.category), dtype=bool)
        for one in categories:  # comparing is many times as fast as looking each up
            wanted |= self.category == one
        return np.flatnonzero(wanted)


def no_memory() -> MemoryColumns:
    """Of a trace without memory events."""
    numbers, codes = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
    return MemoryColumns(
        at_ns=numbers,
        change_bytes=numbers,
        allocated_bytes=numbers,
        reserved_bytes=numbers,
        address=numbers,
        device_type=codes,
        device=codes,
    )
