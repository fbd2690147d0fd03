"""``dpprof mcp``: the read-only verbs for programs and agents, over stdio."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command(short_help="Serve the runs in FOLDERs to an agent, read-only.")
@click.argument("folders", metavar="[FOLDER...]", nargs=-1, type=click.Path(path_type=Path))
def command(folders: tuple[Path, ...]) -> None:
    """Serve reports, findings, diffs, gates and plans of the runs in FOLDERs to an agent.

    Speaks the Model Context Protocol over stdin and stdout. Reads only, and only what lies below
    the folders (default: the current one).
    """
    from dpprof.mcp.folders import Folders
    from dpprof.mcp.server import serve

    serve(sys.stdin, sys.stdout, Folders.given(folders or (Path(),)))
