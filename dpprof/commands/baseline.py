"""``dpprof baseline``: the figures of a run as one small file to commit, and looking at it."""

from __future__ import annotations

from pathlib import Path

import click

from dpprof.commands._output import make_output, output_options
from dpprof.commands._reading import LOCAL, ReadingOptions, reading_options
from dpprof.commands._report import write_document
from dpprof.commands._sides import SideReader
from dpprof.errors import DpprofError
from dpprof.reporters.formats.registry import format_names

_FORMATS = format_names()
_LIST_SCHEMA_VERSION = 1


@click.group(short_help="Keep the figures of a run in one small file to gate by.")
def command() -> None:
    """Keep the figures of a run as a baseline: one small JSON file to review and commit.

    It holds every metric with its spread and what the run was of; `dpprof gate` compares with it.
    """


@command.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the trace.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@reading_options
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace the file.")
def save(
    runs: tuple[str, ...],
    steps: str | None,
    whole_trace: bool,
    executor: str,
    scheduler: str | None,
    step_range: str,
    output_path: Path,
    force: bool,
) -> None:
    """Save the figures of RUN; several RUNs are repeats of the same thing."""
    from dpprof.gate.files import baseline_text
    from dpprof.store.remote import address_of

    output = make_output(("json",), "json", output_path, force)
    side = SideReader(ReadingOptions(executor, scheduler, step_range), steps, whole_trace).read(
        runs
    )
    output.write(baseline_text(side.snapshot))
    place = address_of(output_path) or output_path
    click.echo(f"Gate a run by it: dpprof gate RUN --baseline {place}", err=True)


@command.command()
@click.argument("file", metavar="FILE|RUN")
@output_options(_FORMATS)
def show(file: str, output_format: str | None, output_path: Path | None, force: bool) -> None:
    """Show a baseline, or what one of RUN would be: every metric a rule can name."""
    from dpprof.gate.files import baseline_text
    from dpprof.reporters.gate.baseline import snapshot_document

    output = make_output(_FORMATS, output_format, output_path, force)
    side = SideReader(LOCAL).read([file])
    if output.format == "json":
        output.write(baseline_text(side.snapshot))
    else:
        write_document(snapshot_document(side.name, side.snapshot), output)


@command.command("list")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@output_options(_FORMATS)
def list_(folder: Path, output_format: str | None, output_path: Path | None, force: bool) -> None:
    """List the baselines in FOLDER."""
    import msgspec

    from dpprof.gate.files import is_baseline, read_baseline
    from dpprof.reporters.gate.baseline import list_document

    output = make_output(_FORMATS, output_format, output_path, force)
    if not folder.is_dir():
        raise DpprofError(f"{folder}: no such folder; name one that holds baselines")
    files = [path for path in sorted(folder.glob("*.json")) if is_baseline(path)]
    snapshots = {path.name: read_baseline(path) for path in files}
    if output.format == "json":
        form = {"schema_version": _LIST_SCHEMA_VERSION, "baselines": snapshots}
        output.write(msgspec.json.format(msgspec.json.encode(form), indent=2).decode())
    else:
        write_document(list_document(str(folder), snapshots), output)
