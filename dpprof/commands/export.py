"""``dpprof export``: a run in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._reading import ReadingOptions, reading_options

FORMS = ("perfetto", "parquet", "csv")


@click.command()
@click.argument("run")
@click.option(
    "--to",
    "form",
    type=click.Choice(FORMS),
    required=True,
    help="A trace for ui.perfetto.dev, or tables.",
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="A .json or .json.gz for perfetto; a folder for all tables, or a .parquet or .csv for "
    "the events alone.",
)
@click.option("--steps", metavar="N[-M],...", help="Steps to account, by their numbers.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@reading_options
@click.option(
    "--memory-snapshot",
    "snapshots",
    metavar="[RANK=]FILE",
    multiple=True,
    help="CUDA memory snapshot of a rank, beside those that lie with the traces.",
)
@click.option("--force", is_flag=True, help="Overwrite an export of before.")
def command(
    run: str,
    form: str,
    path: Path,
    executor: str,
    scheduler: str | None,
    force: bool,
    **wanted: Any,
) -> None:
    """Write RUN for Perfetto (one clock, bubbles, arrows) or as tables.

    RUN is a run folder, a folder or glob of trace files, or one trace file.
    """
    from dpprof.export import check_export, export
    from dpprof.trace.load import load_run

    check_export(form, path, force=force)
    with ReadingOptions(executor, scheduler).shown() as reading:
        loaded = load_run(run, patterns=user_patterns(), reading=reading, **wanted)
    next_step = export(loaded, form, path, force=force)
    click.echo(f"Wrote {path}; {next_step}", err=True)
