"""What a verb tells GitHub Actions where it runs there: annotations, and the job's summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpprof.commands._inputs import replaced_input

if TYPE_CHECKING:
    from dpprof.gate.result import GateResult


def tell_github(result: GateResult) -> None:
    """Annotations on stderr under GitHub Actions; the summary wherever its file is named."""
    from dpprof.reporters.gate.render import render_gate

    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo(render_gate(result, "github"), nl=False, err=True)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _append(Path(summary), render_gate(result, "markdown"))


def _append(path: Path, markdown: str) -> None:
    from dpprof.reporters.gate.github import summary_part

    if replaced_input(path) is not None:
        click.echo(
            f"warning: {path}: is an input, so no summary is added; GITHUB_STEP_SUMMARY names it",
            err=True,
        )
        return
    try:
        used = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(summary_part(markdown + "\n", used))
    except OSError as error:  # no reason to hide the verdict
        click.echo(
            f"warning: {path}: cannot be written ({error.strerror}); GITHUB_STEP_SUMMARY names it",
            err=True,
        )
