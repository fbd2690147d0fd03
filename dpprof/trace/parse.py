"""The parser: bytes of a Kineto trace to `TraceColumns`, with every digit of the times."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from dpprof.trace.decode import (
    MEMORY_EVENT,
    NO_ARGUMENTS,
    Arguments,
    Event,
    Integer,
    Trace,
    decode_trace,
)
from dpprof.trace.raw import CATEGORIES, Codes, Collective, MemoryColumns, Nanoseconds, TraceColumns

_ZERO = Decimal(0)
_TIME_LIMIT = Decimal(2**62) / 1000

_T = TypeVar("_T")


def parse_trace(data: bytes, file: Path) -> TraceColumns:
    """Read an uncompressed trace; `file` is only named in errors.

    Takes both forms, an object with ``traceEvents`` and a bare list of events. An event of a
    known category whose values have the wrong type is left out and counted. Raises `DpprofError`
    for anything that is not a whole trace, with the byte where it goes wrong where that is known.
    """
    with _no_garbage_collection():
        trace, skipped = decode_trace(data, file)
        return _columns(trace, skipped)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of small objects without cycles are made here: collecting them doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Encoder:
    """Gives each distinct value a number, in order of appearance; has state while filling up."""

    def __init__(self) -> None:
        self.values: dict[Any, int] = {}

    def encode(self, values: Sequence[Any]) -> Codes:
        table = self.values
        return np.fromiter(
            (-1 if value is None else table.setdefault(value, len(table)) for value in values),
            dtype=np.int32,
            count=len(values),
        )


class _Timed(NamedTuple):
    events: list[Event]
    start_ns: Nanoseconds
    duration_ns: Nanoseconds


def _timed(events: list[Event], has_duration: bool) -> _Timed:
    """The events that have sound times, with these; instants have no duration."""
    try:
        start_ns = _nanoseconds([event.ts for event in events])
        duration_ns = _nanoseconds([event.dur if has_duration else _ZERO for event in events])
    except (AttributeError, ArithmeticError, ValueError, OverflowError):
        sound = [event for event in events if _is_sound(event, has_duration)]
        return _timed(sound, has_duration)
    if (duration_ns >= 0).all():
        return _Timed(events, start_ns, duration_ns)
    keep = np.flatnonzero(duration_ns >= 0)
    return _Timed([events[row] for row in keep], start_ns[keep], duration_ns[keep])


def _is_sound(event: Event, has_duration: bool) -> bool:
    times = (event.ts, event.dur if has_duration else _ZERO)
    return all(time is not None and time.is_finite() and abs(time) < _TIME_LIMIT for time in times)


def _nanoseconds(times: list[Decimal | None]) -> Nanoseconds:
    # A missing time raises AttributeError here, which is cheaper than asking for each event.
    return np.array([int(time.scaleb(3)) for time in times], dtype=np.int64)  # type: ignore[union-attr]


def _columns(trace: Trace, skipped: int) -> TraceColumns:
    base = trace.baseTimeNanoseconds
    base_ns = base if isinstance(base, int) and abs(base) < 2**62 else 0
    events = trace.traceEvents
    wanted = [event for event in events if event.ph == "X" and event.cat in CATEGORIES]
    instants = [event for event in events if event.ph == "i" and event.name == MEMORY_EVENT]
    spans, start_ns, duration_ns = _timed(wanted, has_duration=True)
    memory = _timed(instants, has_duration=False)
    skipped += len(wanted) - len(spans) + len(instants) - len(memory.events)
    start_ns += base_ns
    arguments = [event.args or NO_ARGUMENTS for event in spans]
    names, threads, streams, collectives = _Encoder(), _Encoder(), _Encoder(), _Encoder()
    name = names.encode([event.name for event in spans])
    thread = threads.encode([(str(event.pid), str(event.tid)) for event in spans])
    stream = streams.encode(
        [None if one.stream is None else str(one.stream) for one in arguments],
    )
    collective = collectives.encode([_collective(one) for one in arguments])
    return TraceColumns(
        category=np.array([CATEGORIES[event.cat] for event in spans], dtype=np.uint8),
        name=name,
        thread=thread,
        start_ns=start_ns,
        end_ns=start_ns + duration_ns,
        correlation=_integers(arguments, lambda one: one.correlation),
        stream=stream,
        device=_integers(arguments, lambda one: one.device).astype(np.int32),
        bytes=_integers(arguments, lambda one: one.bytes),
        collective=collective,
        names=tuple(names.values),
        threads=tuple(threads.values),
        streams=tuple(streams.values),
        collectives=tuple(collectives.values),
        thread_names=_thread_names(events),
        memory=_memory(memory.events, memory.start_ns + base_ns),
        distributed=trace.distributedInfo,
        dpprof=trace.dpprof,
        skipped=skipped,
    )


def _integers(values: list[_T], get: Callable[[_T], Integer]) -> Nanoseconds:
    found = (get(value) for value in values)
    whole = [value if type(value) is int else _integer(value) for value in found]
    try:
        return np.array(whole, dtype=np.int64)
    except OverflowError:
        return np.array([value if abs(value) < 2**63 else -1 for value in whole], dtype=np.int64)


def _integer(value: Integer) -> int:
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else -1


def _collective(one: Arguments) -> Collective | None:
    if one.collective is None:
        return None
    return Collective(
        name=one.collective,
        group=one.group or "",
        description=one.description or "",
        ranks=one.ranks or "",
        dtype=one.dtype or "",
        elements=_integer(one.elements),
        source=_integer(one.source),
        destination=_integer(one.destination),
        sequence=_integer(one.sequence),
    )


def _thread_names(events: list[Event]) -> dict[tuple[str, str], tuple[str, ...]]:
    names: dict[tuple[str, str], tuple[str, ...]] = {}
    for event in events:
        if event.ph == "M" and event.name == "thread_name" and event.args and event.args.name:
            thread = (str(event.pid), str(event.tid))
            names[thread] = (*names.get(thread, ()), event.args.name)
    return names


def _memory(events: list[Event], at_ns: Nanoseconds) -> MemoryColumns:
    arguments = [event.args or NO_ARGUMENTS for event in events]
    return MemoryColumns(
        at_ns=at_ns,
        change_bytes=_integers(arguments, lambda one: one.change),
        allocated_bytes=_integers(arguments, lambda one: one.allocated),
        reserved_bytes=_integers(arguments, lambda one: one.reserved),
        device_type=_integers(arguments, lambda one: one.device_type).astype(np.int32),
        device=_integers(arguments, lambda one: one.device_id).astype(np.int32),
    )
