"""The step before the first one that is recorded, as a mark in the trace of a CPU.

Ranks of a pipeline end their steps one after the other, and only the step before says where the
first recorded one begins. Of it nothing but its two instants is wanted on a CPU, where no work
outlasts the step that started it; to record it all would cost as much as any other step.
"""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import msgspec

_BASE = re.compile(rb'"baseTimeNanoseconds"\s*:\s*(\d+)')
_HEAD = 1 << 16


class StepBefore:
    """When the step began that ran last, and when it ended; has state as it is told of each."""

    def __init__(self) -> None:
        self._process, self._thread = os.getpid(), threading.get_native_id()
        self._number = -1
        self._start_ns = self._end_ns = time.time_ns()

    def ended(self, number: int) -> None:
        """Step `number` of the profiler ends now."""
        self._number = number
        self._start_ns, self._end_ns = self._end_ns, time.time_ns()

    def mark(self, export: Path) -> bytes:
        """The mark as an event of torch's `export`, on its clock."""
        with export.open("rb") as file:
            found = _BASE.search(file.read(_HEAD))
        base_ns = int(found[1]) if found else 0
        return msgspec.json.encode(
            {
                "ph": "X",
                "cat": "user_annotation",
                "name": f"ProfilerStep#{self._number}",
                "pid": self._process,
                "tid": self._thread,
                "ts": msgspec.Raw(microseconds(self._start_ns - base_ns)),
                "dur": msgspec.Raw(microseconds(self._end_ns - self._start_ns)),
            }
        )


def microseconds(time_ns: int) -> bytes:
    """A time as the trace writes it, to the nanosecond."""
    sign = b"-" if time_ns < 0 else b""
    whole, fraction = divmod(abs(time_ns), 1000)
    return b"%s%d.%03d" % (sign, whole, fraction)
