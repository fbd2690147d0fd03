"""Labels of threads that torch.profiler does not see, as events of its trace and on its clock."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from dpprof.instrument.labels import LabelRecorder
from dpprof.instrument.step_before import microseconds


class _Export(msgspec.Struct):
    """The parts of an export that are looked at; events stay as they were written."""

    traceEvents: list[msgspec.Raw]
    baseTimeNanoseconds: int = 0


class _Event(msgspec.Struct):
    name: str = ""
    ph: str = ""
    cat: str = ""
    pid: Any = None
    tid: Any = None
    ts: msgspec.Raw = msgspec.Raw(b"0")


_LAUNCHES = ("cuda_runtime", "cuda_driver")


def side_events(export: Path, recorder: LabelRecorder) -> list[bytes]:
    """The events to add to `export`, each as JSON; reads it only where there are any."""
    if not recorder.spans:
        return []
    parts = msgspec.json.decode(export.read_bytes(), type=_Export)
    events, base_ns = parts.traceEvents, parts.baseTimeNanoseconds
    launching = {event.tid for event in map(_read, events) if event.cat in _LAUNCHES}
    pid, offset_ns = _process_and_offset(events, base_ns, recorder)
    return _events(recorder, pid, offset_ns - base_ns, launching)


def _process_and_offset(
    events: list[msgspec.Raw], base_ns: int, recorder: LabelRecorder
) -> tuple[Any, int]:
    """The process id of the profiled thread and what to add to our clock to get the trace's.

    The n-th range of a name in the trace is the n-th reading of that name: ranges of one thread
    are exported in order of time. Every pair bounds the offset from both sides; the middle of
    the tightest bounds is taken.
    """
    readings: dict[str, list[tuple[int, int]]] = {}
    for text, before, after in recorder.readings:
        readings.setdefault(text, []).append((before, after))
    stamps: dict[str, list[int]] = {}
    pid: Any = os.getpid()
    for raw in events:
        event = _read(raw)
        if event.ph == "X" and event.name in readings:
            pid = event.pid
            stamps.setdefault(event.name, []).append(base_ns + _nanoseconds(bytes(event.ts)))
    low, high = -(2**62), 2**62
    for text, pairs in readings.items():
        seen = sorted(stamps.get(text, ()))
        if len(seen) != len(pairs):
            continue  # some fell into the warm-up, which is not exported
        for stamp, (before, after) in zip(seen, pairs, strict=True):
            low, high = max(low, stamp - after), min(high, stamp - before)
    return pid, (low + high) // 2 if low > -(2**62) else 0


def _read(event: msgspec.Raw) -> _Event:
    return msgspec.json.decode(event, type=_Event)


def _nanoseconds(text: bytes) -> int:
    whole, _, fraction = text.decode().partition(".")
    return int(whole) * 1000 + int((fraction + "000")[:3])


def _events(recorder: LabelRecorder, pid: Any, shift_ns: int, launching: set[Any]) -> list[bytes]:
    lines = []
    threads: dict[int, str] = {}
    for thread, text, start_ns, end_ns in recorder.spans:
        tid = _thread_id(thread, launching)
        threads[tid] = thread.name
        lines.append(
            b'{"ph":"X","cat":"user_annotation","name":%s,"pid":%s,"tid":%d,"ts":%s,"dur":%s}'
            % (
                msgspec.json.encode(text),
                msgspec.json.encode(pid),
                tid,
                microseconds(start_ns + shift_ns),
                microseconds(end_ns - start_ns),
            )
        )
    for tid, title in threads.items():
        name = {"name": f"thread {tid} ({title})"}
        lines.append(
            msgspec.json.encode(
                {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "ts": 0, "args": name}
            )
        )
    return lines


def _thread_id(thread: threading.Thread, launching: set[Any]) -> int:
    """The number under which the export has what a side thread launched.

    CUPTI knows a thread by the low 32 bits of its pthread; Kineto puts the system's number there
    only for threads that the profiler has seen (CuptiActivityProfiler.cpp,
    handleRuntimeActivity), and writes a number that is negative in 32 bits without its sign
    (output_json.cpp, sanitizeTid). Without launches of the thread, it is the system's.
    """
    low = (thread.ident or 0) & 0xFFFFFFFF
    for number in (low, low - 2**32, 2**32 - low):
        if number in launching:
            return number
    return thread.native_id or 0
