"""What ``dpprof run`` prints: the summary of each window, and what went wrong, on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dpprof.errors import DpprofError
from dpprof.launcher.notes import Note


class Summary:
    """Listens to a job and prints; has state as it prints each thing once."""

    def __init__(self, quiet: bool, log: Path | None) -> None:
        self._quiet, self._log = quiet, log

    def wrote(self, folder: Path, ranks: Sequence[int]) -> None:
        """Print the line of a window."""

    def ended(self, folders: Sequence[Path], notes: Sequence[Note]) -> None:
        """Print what was written, or why nothing was."""
        for text in dict.fromkeys(note.text for note in notes if note.text):
            click.echo(f"dpprof: {text}", err=True)
        if not folders:
            click.echo(f"dpprof: {_why_nothing(notes)}", err=True)
        if self._quiet:
            return
        for folder in folders:
            self._report(folder)

    def _report(self, folder: Path) -> None:
        from dpprof.commands._report import report_on_stderr

        click.echo(f"dpprof: wrote {folder}", err=True)
        try:
            report_on_stderr(folder)
        except DpprofError as error:
            click.echo(f"dpprof: {error}", err=True)
        click.echo(f"More: dpprof analyze {folder}", err=True)


def _why_nothing(notes: Sequence[Note]) -> str:
    adapters = sorted({note.adapter for note in notes if note.adapter})
    if adapters:
        return (
            f"nothing was recorded: the job trains ({', '.join(adapters)}), but ended before the "
            "steps to record; choose fewer with --skip, --warmup and --num-steps"
        )
    return (
        "nothing was recorded: no training step was seen; a step is an optimizer's step or that "
        "of a framework with an adapter (and Python must not be started with -I, -E or -S)"
    )
