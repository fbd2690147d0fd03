"""What reading one trace may take: in proportion to the file where it is packed, and no more
memory than is free.

Real traces hold 15 to 25 packed bytes per event and unpack to 10 to 24 times their size; both
limits lie ten times and more beyond. What is unpacked is scanned piece by piece and then let go:
memory is taken by the events that are kept.
"""

from __future__ import annotations

import math
import os

from dpprof.errors import DpprofError, FileFault
from dpprof.system.memory import free_bytes

LIMIT_VARIABLE = "DPPROF_MAX_TRACE_BYTES"
DEFAULT_LIMIT_BYTES = 16 << 30

ROW_BYTES = 500
"""Of memory for an event that is kept, in columns and tables, at its peak."""
_FREE_UNPACKED_BYTES = 64 << 20
_MOST_RATIO = 250
_FREE_ROWS = 1_000_000
_PACKED_BYTES_PER_ROW = 2


class Budget:
    """What one file may take; `packed_bytes` is its size where it is packed, else None."""

    def __init__(self, packed_bytes: int | None = None) -> None:
        self._packed_bytes = packed_bytes
        self._limit_bytes = limit_bytes()
        self._free_bytes = free_bytes()

    def check_unpacked(self, count: int) -> None:
        """Raise `FileFault` where the file has unpacked to more bytes than it may."""
        if self._packed_bytes is None:
            return
        if count > self._limit_bytes:
            raise FileFault(
                f"unpacks to more than {self._limit_bytes} bytes; if it is sound, "
                f"allow more with {LIMIT_VARIABLE}"
            )
        if count > _FREE_UNPACKED_BYTES + _MOST_RATIO * self._packed_bytes and not _is_set():
            raise self._spent(f"to {count} bytes and more")

    def check_rows(self, count: int) -> None:
        """Raise `FileFault` where the file has more events than it may, or than memory holds."""
        if count > self._most_rows():
            raise self._spent(f"to {count} events and more")
        if count * ROW_BYTES > self._free_bytes:
            raise FileFault(
                f"holds {count} events and more, which take about "
                f"{_gigabytes(count * ROW_BYTES)} GB of memory, and {_gigabytes(self._free_bytes)} "
                "GB are free; free some, or profile fewer steps"
            )

    def _most_rows(self) -> float:
        if self._packed_bytes is None or _is_set():
            return math.inf
        return _FREE_ROWS + self._packed_bytes // _PACKED_BYTES_PER_ROW

    def _spent(self, what: str) -> FileFault:
        return FileFault(
            f"its {self._packed_bytes} bytes unpack {what}, far more than any "
            f"profiler's; if it is sound, unpack it first, or set {LIMIT_VARIABLE}"
        )


def limit_bytes() -> int:
    """The most bytes a packed trace may unpack to: `LIMIT_VARIABLE`, else 16 GiB.

    Where the user sets it, the size of the file does not matter. Raises `DpprofError` for what is
    no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return DEFAULT_LIMIT_BYTES
    if not (text.isascii() and text.isdigit()):
        raise DpprofError(f"{LIMIT_VARIABLE}={text}: not a number of bytes; give a whole number")
    return int(text)


def _is_set() -> bool:
    return bool(os.environ.get(LIMIT_VARIABLE, ""))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}"
