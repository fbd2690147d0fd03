"""Runs that lie elsewhere: their traces are copied here once, and then read like any other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME
from dpprof.store.place import find_place
from dpprof.store.remote import address_of, without_secrets
from dpprof.store.remote_copy import Copied, Progress, copy_here
from dpprof.trace.file_names import (
    SNAPSHOT_ENDINGS,
    TRACE_ENDINGS,
    RunPath,
    RunPaths,
    texts_by_rank,
)

_ENDINGS = (*TRACE_ENDINGS, *SNAPSHOT_ENDINGS, ".parquet", MANIFEST_NAME)


def brought_here(path: RunPaths, progress: Progress | None = None) -> RunPaths:
    """The same paths, with copies that lie here in place of addresses; raises `DpprofError`.

    An address is one trace file, a folder or a pattern; ``0=ADDRESS,1=ADDRESS`` gives ranks.
    """
    if isinstance(path, Mapping):
        return {rank: _one(file, progress) for rank, file in path.items()}
    if not isinstance(path, str | os.PathLike):
        return [_one(file, progress) for file in path]
    ranked = texts_by_rank(os.fspath(path))
    if ranked is not None and any(map(address_of, ranked.values())):
        return {rank: _one(file, progress) for rank, file in ranked.items()}
    address = address_of(path)
    if address is None:
        return path
    copied = _copied(address, progress)
    if copied.is_folder:
        return copied.root
    return copied.files[0] if len(copied.files) == 1 else list(copied.files)


def file_here(path: RunPath) -> RunPath:
    """The copy of an address of one file, which may be a baseline; any other path as it is."""
    address = address_of(path)
    if address is None or not without_secrets(address).endswith(".json"):
        return path
    found = brought_here(path)
    return found if isinstance(found, Path) else path


def _one(file: RunPath, progress: Progress | None) -> RunPath:
    address = address_of(file)
    if address is None:
        return file
    copied = _copied(address, progress)
    if copied.is_folder or len(copied.files) != 1:
        raise DpprofError(f"{without_secrets(address)}: is not one file; give a trace file")
    return copied.files[0]


def _copied(address: str, progress: Progress | None) -> Copied:
    copied = copy_here(address, _is_wanted, find_place(), progress)
    if not copied.files:
        raise DpprofError(_nothing_at(address, copied))
    return copied


def _is_wanted(name: str) -> bool:
    return name.endswith(_ENDINGS)


def _nothing_at(address: str, copied: Copied) -> str:
    shown = without_secrets(address).rstrip("/")
    if copied.folders:
        names = ", ".join(copied.folders[:8]) + (", ..." if len(copied.folders) > 8 else "")
        first = copied.folders[0]
        return f"{shown}: holds only the folders {names}; give one of them, such as {shown}/{first}"
    return f"{shown}: holds no trace files; give a run folder or trace files"
