"""Run folders and baseline files below the folders that were given, open or not."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpprof.gate.files import LARGEST_BYTES, is_baseline
from dpprof.runs.manifest import MANIFEST_NAME
from dpprof.runs.run import Run

_DEEPEST = 4
_MOST_RUNS = 500
_MOST_FILES = 20_000
"""Looked at in all: a folder may hold anything."""


@dataclass(frozen=True)
class Shelf:
    """What lies below `roots`, folders from the command line; nothing else is ever opened.

    `loader` gives what loads the run at a path.
    """

    roots: tuple[str, ...]
    loader: Callable[[str], Callable[[], Run]]

    def run_folders(self) -> list[str]:
        """Folders with a manifest, at most `_MOST_RUNS`, sorted."""
        found = (folder for folder, names in _walk(self.roots) if MANIFEST_NAME in names)
        return sorted(dict.fromkeys(found))[:_MOST_RUNS]

    def closed(self, open_paths: Collection[str]) -> list[str]:
        """Run folders that are not open."""
        opened = {os.path.realpath(path) for path in open_paths}
        return [path for path in self.run_folders() if os.path.realpath(path) not in opened]

    def baseline_files(self) -> list[str]:
        """Baseline files (``dpprof baseline save``), sorted."""
        return sorted(
            str(Path(folder, name))
            for folder, names in _walk(self.roots)
            for name in names
            if name.endswith(".json") and name != MANIFEST_NAME and _small_baseline(folder, name)
        )


def _small_baseline(folder: str, name: str) -> bool:
    path = Path(folder, name)
    try:
        return path.stat().st_size <= LARGEST_BYTES and is_baseline(path)
    except OSError:
        return False


def _walk(roots: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Folders, at most `_DEEPEST` below a root, each with its files; links are not followed."""
    seen = 0
    for root in roots:
        for folder, below, names in os.walk(root):
            below[:] = sorted(one for one in below if not one.startswith("."))
            if len(Path(folder).relative_to(root).parts) >= _DEEPEST:
                below.clear()
            seen += len(names)
            if seen > _MOST_FILES:
                return
            yield folder, names
