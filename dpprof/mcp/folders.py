"""Which paths a client may name: those below the folders that were given at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dpprof.errors import DpprofError


@dataclass(frozen=True)
class Folders:
    """The folders, resolved; a relative path is looked for in each of them in turn."""

    roots: tuple[Path, ...]

    @classmethod
    def given(cls, folders: Sequence[Path]) -> Folders:
        """Raises `DpprofError` for what is no folder."""
        for folder in folders:
            if not folder.is_dir():
                raise DpprofError(f"{folder}: no such folder; give folders that hold runs")
        return cls(tuple(folder.resolve() for folder in folders))

    def path(self, text: str) -> str:
        """The path that `text` means, links followed; raises `DpprofError` outside the folders."""
        if "\0" in text or any(mark in text for mark in "*?[=,"):
            raise DpprofError(f"{text[:80]!r}: give one file or folder, no pattern")
        for root in self.roots:
            path = (root / text).resolve()
            if any(path.is_relative_to(one) for one in self.roots) and path.exists():
                return str(path)
        names = ", ".join(map(str, self.roots))
        raise DpprofError(f"{text[:200]}: no such file or folder below {names}")
