"""Keeps the cache small: what is in it, throwing out what was not used for longest, clearing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dpprof.store.entries import ABOUT, open_entry, remove
from dpprof.store.place import COPIED, CacheLocation
from dpprof.system.whole import PREFIX, remove_left_behind

_LEFT_BEHIND_SECONDS = 3600
"""What was begun so long ago and is not whole was left behind by a process that was killed."""


@dataclass(frozen=True)
class Kept:
    """An entry: its key, size, when it was last used (seconds since 1970)."""

    key: str
    folder: Path
    size_bytes: int
    used_at: float


def list_entries(place: CacheLocation) -> list[Kept]:
    """All entries, the longest unused first; those that vanish meanwhile are left out."""
    return sorted(_entries(place), key=lambda kept: (kept.used_at, kept.key))


def source_of(place: CacheLocation, key: str) -> str | None:
    """The file that the entry was first made from; None where it is damaged."""
    entry = open_entry(place, key)
    return None if entry is None else entry.about.source


def evict(place: CacheLocation, keep: Collection[str] = ()) -> list[Kept]:
    """Throw out entries, the longest unused first, until the limit holds; gives those.

    Those of the keys `keep` stay, whatever the limit. What killed processes left goes too.
    """
    _remove_left_behind(place)
    entries = sorted([*list_entries(place), *list_copies(place)], key=lambda kept: kept.used_at)
    excess = sum(kept.size_bytes for kept in entries) - place.limit_bytes
    gone = []
    for kept in entries:
        if excess <= 0:
            break
        if kept.key not in keep and _remove(kept):
            excess -= kept.size_bytes
            gone.append(kept)
    return gone


def clear(place: CacheLocation, older_than_seconds: float = 0) -> list[Kept]:
    """Throw out all entries that were not used for so long; gives those that are gone."""
    gone = [kept for kept in old_entries(place, older_than_seconds) if _remove(kept)]
    _remove_left_behind(place)
    return gone


def list_copies(place: CacheLocation) -> list[Kept]:
    """The copies of what lies elsewhere, one for each address; the longest unused first."""
    kept = []
    for folder in _inside(place.copies):
        with suppress(OSError):
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            kept.append(Kept(folder.name, folder, size, (folder / COPIED).stat().st_mtime))
    return sorted(kept, key=lambda one: (one.used_at, one.key))


def old_entries(place: CacheLocation, older_than_seconds: float = 0) -> list[Kept]:
    """What `clear` would throw out now: after it, what it could not."""
    latest = time.time() - older_than_seconds
    kept = [*list_entries(place), *list_copies(place)]
    return [k for k in kept if k.used_at <= latest or not older_than_seconds]


def _remove(kept: Kept) -> bool:
    """Whether it is gone."""
    try:
        remove(kept.folder)
    except OSError:  # we may not
        return False
    return not kept.folder.exists()


def _entries(place: CacheLocation) -> Iterator[Kept]:
    for folder in _folders(place):
        if folder.name.startswith(PREFIX):
            continue
        try:
            files = [file.stat() for file in folder.iterdir()]
            used = (folder / ABOUT).stat().st_mtime
        except OSError:
            continue
        yield Kept(folder.name, folder, sum(file.st_size for file in files), used)


def _remove_left_behind(place: CacheLocation) -> None:
    remove_left_behind(place.entries)
    for folder in _folders(place):
        try:
            old = time.time() - folder.stat().st_mtime > _LEFT_BEHIND_SECONDS
            if old and not (folder / ABOUT).exists():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _folders(place: CacheLocation) -> list[Path]:
    return _inside(place.entries)


def _inside(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if one.is_dir()]
    except OSError:
        return []
