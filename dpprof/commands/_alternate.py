"""Profiles by commands, the baseline's and the new one in turn (A B A B), for a gate."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from dpprof.errors import EXIT_INTERRUPTED, DpprofError
from dpprof.system.processes import run_leashed, sigterm_as_interrupt
from dpprof.system.whole import working_folder

OUT = "{out}"
_LAST_LINES = 20


@dataclass(frozen=True)
class Commands:
    """The command that profiles the run, and that of the baseline where there is one."""

    run: str
    baseline: str | None
    repeat: int

    def __post_init__(self) -> None:
        for command in filter(None, (self.run, self.baseline)):
            if OUT not in command:
                raise DpprofError(
                    f"{command!r}: where does it write? put {OUT} where its folder goes, as in "
                    f"'dpprof profile --schedule dualpipe -o {OUT}'"
                )


@contextmanager
def profiled(commands: Commands, keep: Path | None) -> Iterator[tuple[list[str], list[str]]]:
    """Run the commands; gives the folders of the runs and of the baseline's.

    The runs go into `keep`, or into a temporary folder that is gone afterwards. In turn, so that
    what the machine does meanwhile falls on both alike.
    """
    place = working_folder("dpprof-gate-") if keep is None else nullcontext(_made(keep))
    with sigterm_as_interrupt(), place as folder:
        runs: list[str] = []
        baselines: list[str] = []
        for number in range(1, commands.repeat + 1):
            if commands.baseline is not None:
                baselines.append(_profile(commands.baseline, folder / f"baseline-{number}"))
            runs.append(_profile(commands.run, folder / f"run-{number}"))
        yield runs, baselines


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise DpprofError(f"{folder}: exists already; name a new folder with --keep") from error
    except OSError as error:
        raise DpprofError(f"{folder}: cannot be made ({error.strerror})") from error
    return folder


def _profile(command: str, out: Path) -> str:
    words = _words(command, out)
    click.echo(f"{out.name}: {shlex.join(words)}", err=True)
    try:
        done = run_leashed(words)
    except OSError as error:
        raise DpprofError(f"{command!r}: cannot be run ({error.strerror})") from error
    if done.returncode in (-signal.SIGINT, EXIT_INTERRUPTED):
        raise KeyboardInterrupt
    if done.returncode:
        raise DpprofError(_failure(command, done.returncode, done.stdout.splitlines()))
    if not out.exists():
        raise DpprofError(f"{command!r}: wrote nothing to {OUT}; let it write its traces there")
    return str(out)


def _words(command: str, out: Path) -> list[str]:
    """The command's words; ``dpprof`` is this dpprof, whether it is on the PATH or not."""
    try:
        words = [word.replace(OUT, str(out)) for word in shlex.split(command)]
    except ValueError as error:
        raise DpprofError(f"{command!r}: cannot be read ({error}); check its quotes") from error
    return [sys.executable, "-m", *words] if words[:1] == ["dpprof"] else words


def _failure(command: str, code: int, lines: Sequence[str]) -> str:
    said = "\n".join(lines[-_LAST_LINES:])
    return f"{command!r}: failed with exit code {code}" + (
        f". The last it said:\n{said}" if said else ""
    )
