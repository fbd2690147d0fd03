"""What a scan of a piece of a trace gives, and the two engines that do it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

try:
    from dpprof.trace.read import _scan as _compiled  # type: ignore[attr-defined]
except ImportError:  # built without a C compiler
    _compiled = None

MAX_DEPTH = 500
"""Values nested deeper than this inside an event are not sound."""

MAX_TEXT_BYTES = 1 << 20
"""An event with a longer name, or another text that is kept, is left out as damaged."""

SPAN = np.dtype(
    [(name, "<i8") for name in ("start_ns", "duration_ns", "correlation", "bytes")]
    + [(name, "<i4") for name in ("name", "thread", "stream", "device", "collective", "category")]
)
MEMORY = np.dtype(
    [(name, "<i8") for name in ("at_ns", "change", "allocated", "reserved", "address")]
    + [(name, "<i4") for name in ("device_type", "device")]
)
PAIR = np.dtype([("first", "<i4"), ("second", "<i4")])
COLLECTIVE = np.dtype([("numbers", "<i8", 5), ("texts", "<i4", 9), ("unused", "<i4")])
"""Numbers: elements, source, destination, sequence, size; texts: name, group, description, ranks,
dtype, id, and of messages their inputs: values, shapes, types."""

MESSAGES = (b'"c10d::send"', b'"c10d::recv_"', b'"gloo:send"', b'"gloo:recv"')
"""Names of the events whose inputs say with whom a message is exchanged, and how large it is."""

BEGINS, ENDS = -1, -2
OTHER = 255

HEADERS = (
    b"baseTimeNanoseconds",
    b"distributedInfo",
    b"deviceProperties",
    b"host_name",
    b"dpprof",
)
MAX_HEADER_BYTES = 64 << 20
"""The members of a trace beside its events that are read; longer ones are passed over."""


class ParserPosition(IntEnum):
    """Where in the document a scan stands."""

    START = 0
    FIRST_EVENT = 1
    AFTER_EVENT = 2
    AFTER_MEMBER = 3
    END = 4


class Stop(IntEnum):
    """Why a scan went no further."""

    FINE = 0
    NEEDS_MORE = 1
    UNSOUND = 2
    DECLINED = 3  # the other engine must take it, or it is nested too deeply
    NO_TRACE = 5


@dataclass(frozen=True)
class State:
    """Where to go on."""

    place: ParserPosition = ParserPosition.START
    is_list: bool = False


@dataclass(frozen=True)
class ScannedBlock:
    """One scanned piece: rows as bytes of the types above, and what their numbers mean.

    `position` is just after the last whole event or member; `stop_at` the byte that ended the
    scan. Names, texts and streams are distinct JSON tokens as written. `threads` are pairs of
    texts (pid, tid), `thread_names` pairs of a thread and a text, `process_names` of two texts.
    Spans of which only the beginning or the end is written have `BEGINS` or `ENDS` for a duration
    and, where their category is not read, `OTHER` for that. `headers` are the members
    beside the events that are read: `HEADERS`, with their values as written.
    """

    position: int
    place: int
    is_list: int
    stop: int
    stop_at: int
    skipped: int
    skipped_work: int
    skipped_memory: int
    events: int
    lists: int
    spans: bytes
    memory: bytes
    thread_names: bytes
    headers: list[tuple[bytes, bytes]]
    names: list[bytes]
    texts: list[bytes]
    streams: list[bytes]
    threads: bytes
    collectives: bytes
    process_names: bytes = b""

    @property
    def state(self) -> State:
        """Where to go on from `position`."""
        return State(ParserPosition(self.place), bool(self.is_list))


Engine = Callable[[Any, int, int, State], ScannedBlock]
"""Scans a buffer from a byte on, to a byte between two events or to the end."""

_SEED = secrets.randbits(64)


def scan_compiled(data: Any, start: int, stop: int, state: State) -> ScannedBlock:
    """Scan with the compiled engine, without holding the interpreter's lock."""
    assert _compiled is not None
    return ScannedBlock(**_compiled.scan(data, start, stop, state.place, state.is_list, _SEED))


def has_compiled() -> bool:
    """Whether the compiled engine was built."""
    return _compiled is not None
