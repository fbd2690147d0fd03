"""Writes a rank's trace: the profiler's export, side threads' labels, and what we know besides.

Exporting and compressing take seconds for a long window, so they begin beside the training as
soon as the last step is recorded; leaving the capture only waits for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.instrument.beside import BackgroundWork, begin_beside
from dpprof.instrument.labels import LabelRecorder
from dpprof.instrument.side_labels import side_events
from dpprof.instrument.step_before import StepBefore
from dpprof.instrument.trace_file import Body, write_body, write_end


class _Answer(msgspec.Struct):
    body: Body | None = None
    fault: str = ""


class TraceWriter:
    """One trace on its way into `target`, whole or not at all. Has state: others write it."""

    def __init__(
        self, export: Path, target: Path, recorder: LabelRecorder, before: StepBefore | None = None
    ) -> None:
        self._export, self._target, self._recorder = export, target, recorder
        self._before = before
        self._partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        self._save: Callable[[str], None]
        self._beside: BackgroundWork | None = None

    def start(self, save: Callable[[str], None], *, fork: bool = False) -> None:
        """Begin to write what `save` puts into the export; the labels are in."""
        self._save = save
        self._beside = begin_beside(self._work, self._written, fork=fork)

    @property
    def is_busy(self) -> bool:
        """Whether it is still at it."""
        return self._beside is not None and self._beside.is_busy

    def finish(self, metadata: dict[str, Any]) -> None:
        """Put the trace in place with `metadata` in it; raises `DpprofError` where that fails."""
        try:
            body = self._body()
            write_end(
                self._partial, body, b',\n"dpprof": ' + msgspec.json.encode(metadata) + b"}\n"
            )
            os.replace(self._partial, self._target)  # noqa: PTH105 - atomic on POSIX
        except (OSError, ValueError) as error:
            self._partial.unlink(missing_ok=True)
            raise DpprofError(
                f"{self._target}: the trace cannot be written ({error}); free space, or capture "
                "fewer steps"
            ) from error

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._beside is not None:
            self._beside.answer()
            self._beside = None
        self._partial.unlink(missing_ok=True)

    def _body(self) -> Body:
        """What was written beside; by this process itself, should that have been lost."""
        answered = self._beside.answer() if self._beside is not None else b""
        self._beside = None
        answer = msgspec.json.decode(answered or self._work(), type=_Answer)
        if answer.body is None:
            raise ValueError(answer.fault)
        return answer.body

    def _work(self) -> bytes:
        try:
            self._save(str(self._export))
            lines = side_events(self._export, self._recorder)
            if self._before is not None:
                lines.append(self._before.mark(self._export))
            answer = _Answer(body=write_body(self._export, self._partial, lines))
        except (OSError, ValueError, RuntimeError, msgspec.DecodeError) as error:
            answer = _Answer(fault=str(error))
        return msgspec.json.encode(answer)

    def _written(self) -> tuple[int, ...]:
        """How far it has come: the bytes of all that is being written."""
        files = [self._partial, *self._export.parent.iterdir()]
        return tuple(file.stat().st_size for file in files if file.exists())
