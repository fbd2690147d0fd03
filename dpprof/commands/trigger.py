"""``dpprof trigger DIR``: have a running job record a window now."""

from __future__ import annotations

from pathlib import Path

import click

from dpprof.commands._streams import say
from dpprof.errors import DpprofError
from dpprof.launcher.settings import NOTES
from dpprof.launcher.windows import ask_for_window


@click.command(short_help="Record a window of a job that `dpprof run` has started.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Record a window of the job that `dpprof run -o DIR` has started, from any shell.

    The ranks agree on a step a second or so ahead, without communicating.
    """
    control = folder / NOTES
    if not control.is_dir():
        raise DpprofError(
            f"{folder}: no job of dpprof run writes there now; give the folder that -o named"
        )
    ask_for_window(control)
    say(f"asked for a window; its ranks write it to {folder} or beside it")
