"""What the processes of a job tell the launcher: lines in files, never in the job's output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import msgspec

from dpprof.errors import DpprofError


class Note(msgspec.Struct, omit_defaults=True):
    """One line: a `text` for the user, or what a process has done.

    It trains, has recorded or written a window, or records nothing any more, as something failed.
    """

    what: str  # note, failed, trains, recorded, wrote
    text: str = ""
    rank: int = -1
    folder: str = ""
    adapter: str = ""
    tracked: bool = False  # whether a tracker of the job's wants the figures of the window


class Notebook:
    """This process's file; opened late, as most processes have nothing to say. Has state so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: set[str] = set()

    def write(self, note: Note) -> None:
        """Add a line; what was said before is not said again. Never raises: there is no one."""
        line = msgspec.json.encode(note).decode()
        if line in self._said:
            return
        self._said.add(line)
        try:
            with (self._folder / f"{os.getpid()}.log").open("a") as file:
                file.write(line + "\n")
        except OSError:
            return


class NoteReader:
    """Reads what is new in all files of a folder; has state to know what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, IO[str]] = {}

    def new(self) -> list[Note]:
        """The whole lines that came since the last call."""
        try:
            for path in sorted(self._folder.glob("*.log")):
                if path not in self._files:
                    self._files[path] = path.open()
        except OSError as error:
            raise DpprofError(f"{self._folder}: cannot be read ({error.strerror})") from error
        return [note for file in self._files.values() for note in _whole_lines(file)]

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def _whole_lines(file: IO[str]) -> list[Note]:
    notes: list[Note] = []
    while True:
        at = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(at)
            return notes
        try:
            notes.append(msgspec.json.decode(line, type=Note))
        except msgspec.DecodeError:
            continue
