"""``dpprof export``: a run in the forms that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._elsewhere import made_here, shown_output
from dpprof.commands._inputs import spare_inputs
from dpprof.commands._reading import ReadingOptions, reading_options
from dpprof.errors import DpprofError

REPORT = "html"
FORMS = ("perfetto", "parquet", "csv", REPORT)


@click.command()
@click.argument("run")
@click.option(
    "--to",
    "form",
    type=click.Choice(FORMS),
    required=True,
    help="A trace for ui.perfetto.dev, tables, or a report in one file.",
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="A .json or .json.gz for perfetto; a folder for all tables, or a .parquet or .csv for "
    "the events alone; a .html for html.",
)
@click.option("--baseline", metavar="RUN", help="The run that an html report compares with.")
@click.option("--steps", metavar="N[-M],...", help="Steps to account, by their numbers.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@reading_options
@click.option(
    "--memory-snapshot",
    "snapshots",
    metavar="[RANK=]FILE",
    multiple=True,
    help="CUDA memory snapshot of a rank, in addition to those found next to the traces.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing export.")
def command(
    run: str,
    form: str,
    path: Path,
    baseline: str | None,
    executor: str,
    scheduler: str | None,
    step_range: str,
    force: bool,
    **wanted: Any,
) -> None:
    """Write RUN as a Perfetto trace, as tables, or as an HTML report.

    RUN is a run folder, a folder or glob of trace files, or one trace file. An html report is the
    dashboard's pages in one file, which needs no server and no network; it takes a folder that
    holds several run folders too.
    """
    reading = ReadingOptions(executor, scheduler, step_range)
    spare_inputs(path)
    with made_here(path, force=force) as place:
        if form == REPORT:
            next_step = _write_report([run], baseline, place, (reading, wanted, force))
        elif baseline is not None:
            raise DpprofError(f"--baseline is for an html report; leave it out for {form}")
        else:
            next_step = _write_export(run, form, place, (reading, wanted, force))
    click.echo(f"Wrote {shown_output(path)}; {next_step}", err=True)


_How = tuple[ReadingOptions, dict[str, Any], bool]
"""How traces are read, more arguments of `load_run`, and whether to overwrite."""


def _write_export(run: str, form: str, path: Path, how: _How) -> str:
    from dpprof.export import check_export, export
    from dpprof.trace.load import load_run

    reading, wanted, force = how
    check_export(form, path, force=force)
    with reading.shown() as shown:
        loaded = load_run(run, patterns=user_patterns(), reading=shown, **wanted)
    return export(loaded, form, path, force=force)


def _write_report(runs: list[str], baseline: str | None, path: Path, how: _How) -> str:
    from dpprof.commands.dashboard import check_installed, load_library

    reading, wanted, force = how
    check_installed("an html report", ("dash", "plotly"))
    from dpprof.dashboards.app.static_report import check_report, write_report

    check_report(path, force=force)
    if baseline is not None and wanted["snapshots"]:
        raise DpprofError("--memory-snapshot is for one run; leave out --baseline")
    library = load_library(runs, baseline, reading, wanted)
    return write_report(library, path, force=force)
