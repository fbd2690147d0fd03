"""Standard streams that are closed, full, or whose reader has gone, and what then becomes of it."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from dpprof.errors import EXIT_WRONG_USE, DpprofError


def make_sound() -> None:
    """Make the standard streams such that no message can change what a verb comes to.

    What is closed is opened on nothing, so that no file of ours takes its number. Errors of writing
    to stderr are passed over: there is nobody to tell. Results go to stdout, whose errors count.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_RDWR)
    if sys.stdout is None:  # it was closed: writing to it fails, as it should
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    quiet = _Quiet(2, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(quiet), "utf-8", "backslashreplace", line_buffering=True
    )


def say(text: str) -> None:
    """Say something on stderr; what names in it hold does nothing to a terminal or a CI system."""
    import click

    from dpprof.reporters.blocks.cells import one_line

    click.echo("\n".join(map(one_line, text.split("\n"))), err=True)


def write_result(text: str, *, color: bool = False) -> None:
    """Write a result to stdout; raises `DpprofError` where it cannot be.

    Where the reader has gone (head, less) the rest is dropped, and the exit code stays the verb's.
    """
    import click

    try:
        click.echo(text, nl=False, color=color)
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        drop_output()
        raise DpprofError(
            f"standard output cannot be written ({error.strerror}); the result is lost, write it "
            "to a file with -o"
        ) from error


def flushed(code: int) -> int:
    """The exit code, once all that went to stdout has arrived or will never."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        drop_output()
        sys.stderr.write(f"error: standard output cannot be written ({error.strerror})\n")
        return code or EXIT_WRONG_USE
    return code


def drop_output() -> None:
    """Send to nowhere whatever else goes to stdout, the flush at exit included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # no stream of the system's
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - stays open to the end
    finally:
        os.close(nowhere)


class _Quiet(io.FileIO):
    """Takes whatever is written, also where it cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)
