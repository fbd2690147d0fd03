"""Takes up runs that are written below the folders given while the dashboard runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from dpprof.dashboards.data.library import Library
from dpprof.errors import DpprofError

EVERY_S = 3.0

Signature = tuple[tuple[str, int, int], ...]


class Watcher:
    """Opens run folders that appear; has state to tell what is new and what is still written.

    A folder is taken up once its files have not changed between two looks. One that cannot be
    read is left until it changes again, and `say` is told why.
    """

    def __init__(self, library: Library, say: Callable[[str], None] = lambda _: None) -> None:
        self.library = library
        self.say = say
        library.watched = True
        self._known = set(library.closed().values())
        self._seen: dict[str, Signature] = {}
        self._refused: dict[str, Signature] = {}

    def look(self) -> list[str]:
        """Look once; the ids of the runs that were taken up."""
        taken = []
        for id, path in self.library.closed().items():
            signature = _signature(path)
            settled = self._seen.get(path) == signature
            self._seen[path] = signature
            if path in self._known or not settled or self._refused.get(path) == signature:
                continue
            if self._opened(id, path, signature):
                taken.append(id)
        return taken

    def _opened(self, id: str, path: str, signature: Signature) -> bool:
        try:
            self.library.open(id)
        except DpprofError as error:
            self._refused[path] = signature
            self.say(f"note: {path}: not taken up: {error}")
            return False
        self.say(f"note: {path}: taken up as {id}")
        return True

    def start(self, every_s: float = EVERY_S) -> threading.Event:
        """Look again and again in a thread of its own, until the event is set."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(every_s):
                self.look()

        threading.Thread(target=run, daemon=True, name="dpprof-watch").start()
        return stop


def _signature(path: str) -> Signature:
    """Names, sizes and times of the files of a folder."""
    found = []
    for file in sorted(Path(path).iterdir()) if Path(path).is_dir() else ():
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((file.name, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
