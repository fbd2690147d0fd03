"""Writes a rank's trace: the profiler's export, side threads' labels, and what we know besides.

Compressing takes seconds for a long window, so it begins on a thread of its own as soon as the
last step is recorded; leaving the capture only waits for the rest.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from threading import Thread
from typing import IO, Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.instrument.labels import LabelRecorder
from dpprof.instrument.side_labels import side_events

_LEVEL = 2  # half the time of level 6 for a tenth more bytes
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 1 << 20
_EVENTS = re.compile(rb'"traceEvents"\s*:\s*\[')


class TraceWriter:
    """One trace on its way into `target`, whole or not at all. Has state: a thread writes it."""

    def __init__(self, export: Path, target: Path, recorder: LabelRecorder) -> None:
        self._export, self._target, self._recorder = export, target, recorder
        self._partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._fault: Exception | None = None
        self._thread = Thread(target=self._run, name="dpprof writer")

    def start(self) -> None:
        """Begin to compress; the export is complete and the labels are in."""
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether it is still at it."""
        return self._thread.is_alive()

    def finish(self, metadata: dict[str, Any]) -> None:
        """Put the trace in place with `metadata` in it; raises `DpprofError` where that fails."""
        self._thread.join()
        try:
            if self._fault is not None:
                raise self._fault
            tail = b',\n"dpprof": ' + msgspec.json.encode(metadata) + b"}\n"
            with self._partial.open("ab") as out:
                out.write(self._deflate.compress(tail) + self._deflate.flush())
            os.replace(self._partial, self._target)  # noqa: PTH105 - atomic on POSIX
        except (OSError, ValueError) as error:
            self._partial.unlink(missing_ok=True)
            raise DpprofError(
                f"{self._target}: the trace cannot be written ({error}); free space, or capture "
                "fewer steps"
            ) from error

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._thread.ident is not None:
            self._thread.join()
        self._partial.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            lines = side_events(self._export, self._recorder)
            with self._export.open("rb") as export, self._partial.open("wb") as out:
                self._copy(export, out, lines)
        except (OSError, ValueError, msgspec.DecodeError) as error:
            self._fault = error

    def _copy(self, export: IO[bytes], out: IO[bytes], lines: list[bytes]) -> None:
        """Everything but the last brace, with `lines` as the first events."""
        chunk = export.read(_CHUNK)
        begin = _EVENTS.search(chunk)
        if begin is None:
            raise ValueError("torch wrote no traceEvents")
        others = not chunk[begin.end() :].lstrip().startswith(b"]")
        added = b",".join(b"\n" + line for line in lines) + b"," * (bool(lines) and others)
        chunk = chunk[: begin.end()] + added + chunk[begin.end() :]
        while following := export.read(_CHUNK):
            out.write(self._deflate.compress(chunk))
            chunk = following
        body, brace, rest = chunk.rpartition(b"}")
        if not brace or rest.strip():
            raise ValueError("torch's trace does not end as JSON does")
        out.write(self._deflate.compress(body))
