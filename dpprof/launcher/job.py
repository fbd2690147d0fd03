"""The launcher's side of a job: starts it, passes signals on, and hears what its ranks wrote."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol

from dpprof.errors import DpprofError
from dpprof.instrument.folder import remove_if_empty, trace_of
from dpprof.launcher.meeting import Meeting
from dpprof.launcher.notes import Note, NoteReader
from dpprof.launcher.rules import read_rule
from dpprof.launcher.settings import Settings, environment_for
from dpprof.launcher.trackers import leave_figures
from dpprof.launcher.windows import ask_for_window
from dpprof.runs.manifest import MANIFEST_NAME, read_manifest

_POLL_S = 0.5
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_ASKS = signal.SIGUSR2


class Listener(Protocol):
    """Hears of windows as they are written, and of the end of the job."""

    def wrote(self, folder: Path, *, tracked: bool) -> Mapping[str, float]:
        """All ranks have written a window to `folder`; its figures, where those are `tracked`."""

    def ended(self, folders: Sequence[Path], notes: Sequence[Note]) -> None:
        """The job has ended; `notes` are all that was said in it."""


class LaunchedJob:
    """One command under the profiler. Has state: the process, and what came of it so far."""

    def __init__(self, command: Sequence[str], settings: Settings, listener: Listener) -> None:
        self._command, self._settings, self._listener = list(command), settings, listener
        self._notes: list[Note] = []
        self._told: set[Path] = set()

    def run(self) -> int:
        """Run it to its end; the exit code that a shell would give.

        Raises `DpprofError` where the folder cannot be written or the command does not exist.
        """
        meeting = Meeting(Path(self._settings.notes))
        meeting.enter()
        reader = NoteReader(meeting.folder)
        try:
            process = self._start()
            code = self._wait(process, reader)
            self._hear(reader)
        finally:
            reader.close()
            meeting.leave()
        self._listener.ended(self.folders, self._notes)
        remove_if_empty(meeting.folder.parent)
        return code

    @property
    def folders(self) -> list[Path]:
        """Where windows were written, in order."""
        return [Path(one) for one in dict.fromkeys(n.folder for n in self._notes if n.folder)]

    def _start(self) -> subprocess.Popen[bytes]:
        environment = environment_for(self._settings, os.environ)
        try:
            return subprocess.Popen(self._command, env=environment)
        except OSError as error:
            raise DpprofError(
                f"{self._command[0]}: cannot be started ({error.strerror}); give the command as "
                "you would without dpprof, after --"
            ) from error

    def _wait(self, process: subprocess.Popen[bytes], reader: NoteReader) -> int:
        def pass_on(number: int, _: FrameType | None) -> None:
            process.send_signal(number)

        def ask(_: int, __: FrameType | None) -> None:
            ask_for_window(Path(self._settings.notes))

        before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
        # The terminal sends Ctrl-C to the job as well: it decides.
        if self._settings.when and read_rule(self._settings.when).signal:
            signal.signal(_ASKS, ask)
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, _: None)
        try:
            while True:
                try:
                    code = process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    self._hear(reader)
                else:
                    return code if code >= 0 else 128 - code
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, reader: NoteReader) -> None:
        self._notes += reader.new()
        for folder in self.folders:
            if folder not in self._told and is_whole(folder):
                self._told.add(folder)
                self._pass_on(folder)

    def _pass_on(self, folder: Path) -> None:
        tracked = any(note.tracked for note in self._notes if note.folder == str(folder))
        figures = self._listener.wrote(folder, tracked=tracked)
        if tracked:
            leave_figures(Path(self._settings.notes), folder, figures)


def is_whole(folder: Path) -> bool:
    """Whether every rank of the job has its trace there."""
    manifest = folder / MANIFEST_NAME
    if not manifest.exists():
        return False
    size = read_manifest(manifest).world_size
    return all(trace_of(folder, rank).exists() for rank in range(size))
