"""The folder that a capture writes to: made, tried and claimed before training begins.

No two processes ever write one file. The first rank of a job to come writes the job's name into a
folder, and each rank claims its own number in it; a folder of another job, or in which the rank
has written already, is left alone, and the next one is taken: ``runs/x``, ``runs/x-2``, ...
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from itertools import count
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.instrument.world import World
from dpprof.runs.manifest import MANIFEST_NAME

_JOB_FILE = ".dpprof-job"
_MOST = 10_000
_TRIES, _PAUSE_S = 100, 0.01


def claim_folder(wanted: Path, world: World, *, overwrite: bool = False) -> Path:
    """The folder for this rank: `wanted`, or the next free one beside it; claimed for the rank.

    Raises `DpprofError` where no folder can be made or written to.
    """
    if overwrite:
        _remove_run(wanted, world)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            if _claimed(folder, world):
                return folder
        except OSError as error:
            raise DpprofError(
                f"{error.filename or folder}: cannot be written to ({error.strerror}); choose "
                "another folder for the capture"
            ) from error
        if number == _MOST:
            break
    raise DpprofError(f"{wanted}: {_MOST} runs lie there and beside it; choose another folder")


def release(folder: Path, world: World, *, written: bool) -> None:
    """Give up the claim; a folder in which nothing was written is removed again."""
    with contextlib.suppress(OSError):
        _claim_of(folder, world).unlink()
        if all(trace_of(folder, rank).exists() for rank in range(world.size)):
            (folder / _JOB_FILE).unlink()  # nobody of this job comes any more
        elif not written:
            remove_if_empty(folder)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing was written."""
    with contextlib.suppress(OSError):
        names = [one.name for one in folder.iterdir()]
        if names == [_JOB_FILE]:
            (folder / _JOB_FILE).unlink()
        if names in ([], [_JOB_FILE]):
            folder.rmdir()


def trace_of(folder: Path, rank: int) -> Path:
    """Where a rank's trace lies in its run folder."""
    return folder / f"rank{rank}.json.gz"


def _claim_of(folder: Path, world: World) -> Path:
    return folder / f".rank{world.rank}.claim"


def _claimed(folder: Path, world: World) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_of_job(folder, world.job) or trace_of(folder, world.rank).exists():
        return False
    return _create(_claim_of(folder, world), str(os.getpid()))


def _is_of_job(folder: Path, job: str) -> bool:
    """Whether the folder is of this job: it says so, or it is empty and now does."""
    file = folder / _JOB_FILE
    if not file.exists():
        others = any(one.suffix in (".json", ".gz", ".zst") for one in folder.iterdir())
        if others or (folder / MANIFEST_NAME).exists():
            return False
        _create(file, job)
    return _written(file) == job


def _create(file: Path, text: str) -> bool:
    """Make a file that nobody has made; whether this process was the one."""
    try:
        with file.open("x") as made:
            made.write(text)
    except FileExistsError:
        return False
    return True


def _written(file: Path) -> str:
    """What its maker has written, who may be at it just now."""
    for _ in range(_TRIES):
        if text := file.read_text():
            return text
        time.sleep(_PAUSE_S)
    return ""


def _remove_run(folder: Path, world: World) -> None:
    """Remove another job's run, or this rank's own trace of an earlier capture of this job."""
    file = folder / _JOB_FILE
    try:
        if file.exists() and _written(file) == world.job:
            trace_of(folder, world.rank).unlink(missing_ok=True)
        elif (folder / MANIFEST_NAME).exists() or file.exists():
            gone = folder.with_name(f".{folder.name}.{os.getpid()}.gone")
            os.replace(folder, gone)  # noqa: PTH105 - at once, whoever else comes now
            shutil.rmtree(gone, ignore_errors=True)
    except FileNotFoundError:
        return  # another rank was faster
    except OSError as error:
        raise DpprofError(
            f"{folder}: cannot be replaced ({error.strerror}); choose another folder"
        ) from error
