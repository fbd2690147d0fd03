"""What a verb tells GitHub Actions where it runs there: annotations, and the job's summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

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

    try:
        used = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8") as file:
            file.write(summary_part(markdown + "\n", used))
    except OSError as error:  # no reason to hide the verdict
        click.echo(
            f"warning: {path}: cannot be written ({error.strerror}); GITHUB_STEP_SUMMARY names it",
            err=True,
        )
