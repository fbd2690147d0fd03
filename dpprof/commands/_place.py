"""Puts runs in their folders, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dpprof.commands._inputs import spare_inputs
from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME
from dpprof.system.whole import partial_folder, partial_path


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
    return partial_path(folder.parent, folder.name)


@contextmanager
def partial_run(folder: Path) -> Iterator[Path]:
    """The empty `partial_of` the folder, of which nothing is left at the end.

    Raises `DpprofError` where it cannot be made.
    """
    with ExitStack() as held:
        yield _entered(held, folder)


def _entered(held: ExitStack, folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return held.enter_context(partial_folder(folder.parent, folder.name))
    except FileExistsError as error:
        raise DpprofError(
            f"{folder}: another command is writing it; wait for it, or choose another folder"
        ) from error
    except OSError as error:
        raise DpprofError(f"{folder.parent}: cannot be written ({error.strerror})") from error


@contextmanager
def first_place(folder: Path, wait: Callable[[], None]) -> Iterator[tuple[Path, bool]]:
    """The partial folder of a run for its first rank, who puts it in place (True).

    `wait` returns when all ranks have called it as often.
    """
    with partial_run(folder) as partial:
        wait()
        wait()
        yield partial, True


@contextmanager
def place_beside(
    folder: Path, wait: Callable[[], None], *, force: bool
) -> Iterator[tuple[Path, bool]]:
    """The same for another rank: the first one's, where this host sees it.

    Else the first rank of the host makes one here, and puts it in place itself (True).
    """
    wait()
    if partial_of(folder).exists() or os.environ.get("LOCAL_RANK", "0") != "0":
        wait()
        yield partial_of(folder), False
        return
    check_targets([folder], force)
    with partial_run(folder) as partial:
        wait()
        yield partial, True


def put_in_place(folder: Path) -> None:
    """Replace `folder` by its whole `partial_of`; raises `DpprofError` where there is none."""
    if not partial_of(folder).is_dir():  # a folder in which nothing was written is removed
        raise DpprofError(
            f"{folder}: no trace could be written, as is said above; make room, or choose another "
            "folder with -o"
        )
    shutil.rmtree(folder, ignore_errors=True)
    partial_of(folder).rename(folder)
