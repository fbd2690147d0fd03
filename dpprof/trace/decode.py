"""Decodes the JSON of a trace into typed events, tolerating single events that are damaged."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.trace.raw import CATEGORIES

MEMORY_EVENT = "[memory]"


def _key(name: str) -> Any:
    return msgspec.field(name=name, default=None)


# ROCm writes some numbers as text.
Integer = int | str | None


class Arguments(msgspec.Struct, gc=False):
    """The arguments that are read; None where the event does not have one."""

    name: str | None = None
    stream: int | str | None = None
    device: Integer = None
    correlation: Integer = None
    bytes: Integer = None
    dtype: str | None = None
    collective: str | None = _key("Collective name")
    group: str | None = _key("Process Group Name")
    description: str | None = _key("Process Group Description")
    ranks: str | None = _key("Process Group Ranks")
    elements: Integer = _key("In msg nelems")
    source: Integer = _key("Src Rank")
    destination: Integer = _key("Dst Rank")
    sequence: Integer = _key("Seq")
    change: Integer = _key("Bytes")
    allocated: Integer = _key("Total Allocated")
    reserved: Integer = _key("Total Reserved")
    device_type: Integer = _key("Device Type")
    device_id: Integer = _key("Device Id")


NO_ARGUMENTS = Arguments()


class Event(msgspec.Struct, gc=False):
    """One event; times in microseconds, with all their digits."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    pid: int | str | None = None
    tid: int | str | None = None
    ts: Decimal | None = None
    dur: Decimal | None = None
    args: Arguments | None = None


class Trace(msgspec.Struct):
    """The keys of a trace that are read, under Kineto's names."""

    traceEvents: list[Event]
    baseTimeNanoseconds: Any = 0
    distributedInfo: Any = None
    dpprof: Any = None


class _LooseTrace(Trace):
    traceEvents: list[msgspec.Raw]  # type: ignore[assignment]


class _Glance(msgspec.Struct):
    ph: Any = None
    cat: Any = None
    name: Any = None


def decode_trace(data: bytes, file: Path) -> tuple[Trace, int]:
    """The decoded trace, and how many events that matter were left out as damaged.

    Takes an object with ``traceEvents`` and a bare list of events. Raises `DpprofError` that
    names `file`, and the byte where it goes wrong where that is known.
    """
    first = re.match(rb"\s*(.?)", data)
    if first is None or not first[1]:
        raise DpprofError(f"{file}: is empty; the profiler wrote nothing, profile the step again")
    is_list = first[1] == b"["
    try:
        if is_list:
            return Trace(traceEvents=msgspec.json.decode(data, type=list[Event])), 0
        return msgspec.json.decode(data, type=Trace), 0
    except msgspec.ValidationError:
        return _decode_event_by_event(data, file, is_list)
    except msgspec.DecodeError as error:
        raise DpprofError(_broken(file, data, error)) from error


def _decode_event_by_event(data: bytes, file: Path, is_list: bool) -> tuple[Trace, int]:
    try:
        if is_list:
            loose = _LooseTrace(traceEvents=msgspec.json.decode(data, type=list[msgspec.Raw]))
        else:
            loose = msgspec.json.decode(data, type=_LooseTrace)
    except msgspec.ValidationError as error:
        raise DpprofError(
            f"{file}: not a profiler trace ({error}); give a Chrome-trace JSON of torch.profiler, "
            "which has a list of 'traceEvents'"
        ) from error
    except msgspec.DecodeError as error:
        raise DpprofError(_broken(file, data, error)) from error
    events, skipped = [], 0
    decoder = msgspec.json.Decoder(Event)
    for raw in loose.traceEvents:
        try:
            events.append(decoder.decode(raw))
        except msgspec.ValidationError:
            skipped += _matters(raw)
    header = (loose.baseTimeNanoseconds, loose.distributedInfo, loose.dpprof)
    return Trace(events, *header), skipped


def _matters(raw: msgspec.Raw) -> bool:
    try:
        glance = msgspec.json.decode(raw, type=_Glance)
    except msgspec.ValidationError:
        return True
    category = glance.cat
    return glance.name == MEMORY_EVENT or (isinstance(category, str) and category in CATEGORIES)


def _broken(file: Path, data: bytes, error: msgspec.DecodeError) -> str:
    if "truncated" in str(error):
        return (
            f"{file}: ends in the middle of the JSON, at byte {len(data)}; the profiler was cut "
            "off while writing, profile the step again"
        )
    return f"{file}: not valid JSON ({error}); give a trace that torch.profiler wrote"
