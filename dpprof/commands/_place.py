"""Puts runs in their folders, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from dpprof.commands._inputs import spare_inputs
from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME


def check_targets(folders: list[Path], force: bool) -> None:
    """Raise `DpprofError` unless every folder is free, or a run that `force` lets go."""
    for folder in folders:
        spare_inputs(folder)
        if not folder.exists():
            continue
        if not force:
            raise DpprofError(
                f"{folder}: exists already; choose another folder with -o or add --force"
            )
        if not (folder / MANIFEST_NAME).is_file() and (
            not folder.is_dir() or any(folder.iterdir())
        ):
            raise DpprofError(
                f"{folder}: is not a run, so --force does not replace it; move it away"
            )


def partial_of(folder: Path) -> Path:
    """Where a run is made before it is put in place."""
    return folder.with_name(f".{folder.name}.partial")


def make_empty(folder: Path) -> None:
    """Create `folder`, empty; raises `DpprofError` where it cannot be."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise DpprofError(f"{folder.parent}: cannot be written ({error.strerror})") from error


def put_in_place(folder: Path) -> None:
    """Replace `folder` by its whole `partial_of`."""
    shutil.rmtree(folder, ignore_errors=True)
    partial_of(folder).rename(folder)
