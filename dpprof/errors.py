"""The one error class for mistakes a user can make, and the exit codes of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_OK = 0
EXIT_LIMIT_BROKEN = 1
EXIT_WRONG_USE = 2
EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class DpprofError(Exception):
    """Something the user can put right: says what is wrong, where, and what to do.

    The message is printed as it stands, so it names the file (and the place in it) and the way
    out: ``"run.json: no field 'schedule'; profile the step again or delete the file"``.
    """

    exit_code = EXIT_WRONG_USE


class FileFault(DpprofError):
    """What is wrong with a file, said where its name is not known; `faults_of` names it."""


@contextmanager
def faults_of(file: Path) -> Iterator[None]:
    """Raise a `FileFault` of the block as a `DpprofError` that begins with the name of the file."""
    try:
        yield
    except FileFault as fault:
        raise DpprofError(f"{file}: {fault}") from fault.__cause__
