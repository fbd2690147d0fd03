"""Where an export goes: checked before the long work, and filled whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dpprof.errors import DpprofError
from dpprof.system import whole

ABOUT = "about.json"
"""Every exported folder holds it; a folder without it is somebody else's and is never replaced."""


def check_place(path: Path, *, is_file: bool, force: bool) -> None:
    """Raise `DpprofError` where `path` may not or cannot be written."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise DpprofError(f"{folder}: no such folder; create it first")
    if not os.access(folder, os.W_OK):
        raise DpprofError(f"{folder}: not writable; choose another folder")
    if not path.exists():
        return
    if not force:
        raise DpprofError(f"{path}: exists already; choose another name or add --force")
    if is_file == path.is_dir():
        kind = "a folder" if path.is_dir() else "a file"
        raise DpprofError(f"{path}: is {kind}; choose another name")
    if not is_file and any(path.iterdir()) and not (path / ABOUT).is_file():
        raise DpprofError(f"{path}: is not an export, so --force does not replace it; move it away")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and never else."""
    try:
        with whole.whole_file(path) as file:
            yield file
    except OSError as error:
        raise DpprofError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder that appears at `path` when the block ends well, in the place of an older one."""
    try:
        with whole.partial_folder(path.absolute().parent) as work:
            try:
                fresh = work / "new"
                fresh.mkdir()
                yield fresh
                if path.exists():
                    path.rename(work / "old")
                fresh.rename(path)
            finally:
                if (work / "old").exists() and not path.exists():
                    (work / "old").rename(path)
    except OSError as error:
        raise DpprofError(f"{path}: cannot be written ({error.strerror or error})") from error
