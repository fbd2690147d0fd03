"""The folder in which a job's processes and its launchers meet, one launcher a node perhaps."""

from __future__ import annotations

import os
import platform
import shutil
import time
from contextlib import suppress
from pathlib import Path

from dpprof.errors import DpprofError

_DAY_S = 86_400


class Meeting:
    """One launcher's part in the folder; the last to leave removes it. Has state: who it is."""

    def __init__(self, folder: Path, process: int | None = None) -> None:
        self.folder = folder
        self._here = folder / f"here-{platform.node()}-{process or os.getpid()}"

    def enter(self) -> None:
        """Make the folder, without what a launcher that was killed has left in it.

        Raises `DpprofError` where it cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._here.touch()  # before it looks: of two that come together, none clears
            if not self._others():
                self._clear()
        except OSError as error:
            raise DpprofError(
                f"{error.filename or self.folder}: cannot be written to ({error.strerror}); choose "
                "another folder with -o"
            ) from error

    def leave(self) -> None:
        """Leave; never raises, as the job has ended well."""
        with suppress(OSError):
            self._here.unlink(missing_ok=True)
            if not self._others():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _clear(self) -> None:
        for one in self.folder.iterdir():
            if one != self._here:
                one.unlink(missing_ok=True)

    def _others(self) -> list[Path]:
        here = [one for one in self.folder.glob("here-*") if one != self._here]
        return [one for one in here if _is_alive(one)]


def _is_alive(here: Path) -> bool:
    """Whether its launcher runs; one of another node is taken to, for a day."""
    node, _, process = here.name.removeprefix("here-").rpartition("-")
    if node != platform.node():
        return time.time() - here.stat().st_mtime < _DAY_S
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
