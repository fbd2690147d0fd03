"""The raw trace of a rank for the analyses of HTA that write it again with marks in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from dpprof.errors import DpprofError
from dpprof.hta.frames import FIRST_INDEX
from dpprof.trace.read.columns import CATEGORIES
from dpprof.trace.read.unpack import Stream

Trace = dict[str, Any]

_PIECE_BYTES = 1 << 20


def raw_trace(file: Path | None, frame: pd.DataFrame) -> Trace:
    """The trace in `file`, its events put where `frame` counts them and on the clock of `frame`.

    HTA finds an event by its position. Events that are not in the frame's columns follow after.
    Raises `DpprofError` where the file holds something else than the frame.
    """
    if file is None:
        raise DpprofError("a simulated run has no trace that HTA could write its marks into")
    try:
        with Stream(file) as stream:
            pieces = iter(lambda: stream.read(_PIECE_BYTES), b"")
            trace = msgspec.json.decode(b"".join(pieces))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DpprofError(f"{file}: HTA writes its marks into sound JSON only ({error})") from error
    trace = trace if isinstance(trace, dict) else {"traceEvents": trace}
    events = [event for event in trace["traceEvents"] if isinstance(event, dict)]
    counted = [event for event in events if _is_counted(event)]
    first = frame.iloc[0]
    position = int(first["index"]) - FIRST_INDEX
    if position >= len(counted) or len(counted) < int(frame["index"].max()) - FIRST_INDEX + 1:
        raise DpprofError(f"{file}: has changed since the run was read from it; load the run again")
    shift = float(first["ts"]) - float(counted[position]["ts"])
    others = [event for event in events if not _is_counted(event)]
    filler = [{"ph": "M", "name": "process_labels", "args": {}}] * FIRST_INDEX
    trace["traceEvents"] = [_shifted(event, shift) for event in (*filler, *counted, *others)]
    return trace


def _is_counted(event: Trace) -> bool:
    return event.get("ph") == "X" and event.get("cat") in CATEGORIES


def _shifted(event: Trace, shift: float) -> Trace:
    return event | {"ts": float(event["ts"]) + shift} if "ts" in event else event
