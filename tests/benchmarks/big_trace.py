"""Makes a big trace from a real one: repeated, with times, ids and step numbers shifted."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

_START = re.compile(rb'"traceEvents"\s*:\s*\[')
_TIME = re.compile(rb'"ts": ?(\d+)((?:\.\d+)?)')
_IDENTITY = re.compile(rb'("(?:correlation|External id|id|Ev Idx)": ?)(\d+)')
_STEP = re.compile(rb"(ProfilerStep#)(\d+)")


def make_big_trace(source: Path, target: Path, copies: int) -> int:
    """Write `copies` of the events of `source` one after another; returns the bytes written.

    Each copy begins where the one before ends, has correlation ids and step numbers of its own,
    and is written in the source's own layout.
    """
    data = source.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    start = _START.search(data)
    assert start is not None
    end = data.rindex(b"]")
    events = data[start.end() : end].rstrip()
    times = [int(found[1]) for found in _TIME.finditer(events) if int(found[1])]
    identities = _distance(_IDENTITY, events)
    steps = _distance(_STEP, events)
    with target.open("wb") as file:
        size = file.write(data[: start.end()])
        for copy in range(copies):
            shifted = _TIME.sub(_shift_time(copy * (max(times) - min(times) + 1000)), events)
            shifted = _IDENTITY.sub(_shift(copy * identities), shifted)
            shifted = _STEP.sub(_shift(copy * steps), shifted)
            size += file.write((b"," if copy else b"") + shifted)
        return size + file.write(data[end:])


def _distance(pattern: re.Pattern[bytes], events: bytes) -> int:
    return max((int(found[2]) for found in pattern.finditer(events)), default=0) + 1


def _shift_time(by: int) -> Callable[[re.Match[bytes]], bytes]:
    return lambda found: b'"ts": %d%s' % (int(found[1]) + by if int(found[1]) else 0, found[2])


def _shift(by: int) -> Callable[[re.Match[bytes]], bytes]:
    return lambda found: b"%s%d" % (found[1], int(found[2]) + by)
