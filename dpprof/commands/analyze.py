"""``dpprof analyze``: where the time and memory of each rank of a run went."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._output import Output, make_output, output_options
from dpprof.commands._reading import LOCAL, ReadingOptions, reading_options
from dpprof.commands._report import write_kinds, write_reports
from dpprof.errors import DpprofError
from dpprof.reporters import FORMATS
from dpprof.runs.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from dpprof.analysis.model import Report

BASELINE_SCHEDULE = "1f1b"


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--baseline",
    metavar="RUN",
    help="Run that the others are compared with. [default: the last of several]",
)
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the trace.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@click.option(
    "--explain-kinds", is_flag=True, help="List which rule gave which activities their kind."
)
@click.option(
    "--brief", is_flag=True, help="One line of JSON of at most about 2,000 tokens, for agents."
)
@reading_options
@click.option(
    "--memory-snapshot",
    "snapshots",
    metavar="[RANK=]FILE",
    multiple=True,
    help="CUDA memory snapshot of a rank, in addition to those found next to the traces.",
)
@output_options(FORMATS)
def command(
    runs: tuple[str, ...],
    baseline: str | None,
    steps: str | None,
    whole_trace: bool,
    explain_kinds: bool,
    brief: bool,
    snapshots: tuple[str, ...],
    executor: str,
    scheduler: str | None,
    step_range: str,
    output_format: str | None,
    output_path: Path | None,
    force: bool,
) -> None:
    """Say where the time and memory of each rank of RUN went.

    RUN is a run folder, a folder or glob of trace files, one trace file, or 0=FILE,1=FILE where
    the traces do not say which ranks they are. Several RUNs, or the runs in a folder that holds
    nothing else, are compared with the baseline. Times and states are sums over the used steps in
    JSON, and means per step in tables.
    """
    output = make_output(FORMATS, output_format, output_path, force)
    paths = [path for run in runs for path in run_folders(run)]
    if baseline is not None:
        paths = [*(path for path in paths if not _same(path, baseline)), baseline]
    reading = ReadingOptions(executor, scheduler, step_range)
    if explain_kinds:
        if steps is not None or len(paths) > 1:
            raise DpprofError(
                "--explain-kinds takes one RUN, and all of it; leave out --steps and other runs"
            )
        report_kinds(paths[0], output, reading)
        return
    if snapshots and len(paths) > 1:
        raise DpprofError("--memory-snapshot is for one RUN; analyze the others on their own")
    wanted = {"steps": steps, "whole_trace": whole_trace, "snapshots": snapshots}
    if brief:
        if len(paths) > 1 or output_format not in (None, "json"):
            raise DpprofError("--brief is JSON about one RUN; leave out other runs and formats")
        report_in_brief(paths[0], output, reading, **wanted)
        return
    report_runs(paths, output, reading, **wanted)


def _same(path: str, other: str) -> bool:
    return Path(path).resolve() == Path(other).resolve()


def report_runs(
    paths: Sequence[str],
    output: Output,
    reading: ReadingOptions = LOCAL,
    **wanted: Any,
) -> None:
    """Load, analyze and write runs: one as a report, several side by side with the last.

    `wanted` are the further arguments of `dpprof.trace.load.load_run`.
    """
    write_reports(_analyzed(paths, reading, **wanted), output)


def _analyzed(paths: Sequence[str], reading: ReadingOptions, **wanted: Any) -> list[Report]:
    from dpprof.analysis.report.analyze import analyze
    from dpprof.findings.find import with_findings
    from dpprof.trace.load import load_run

    patterns, reports = user_patterns(), []
    for path in paths:
        with reading.shown() as how:
            run = load_run(path, patterns=patterns, reading=how, **wanted)
        reports.append(with_findings(run, analyze(run)))
    return reports


def report_in_brief(path: str, output: Output, reading: ReadingOptions, **wanted: Any) -> None:
    """Load and analyze one run, and write the brief form of its report."""
    from dpprof.reporters.brief import brief_text

    output.write(brief_text(_analyzed([path], reading, **wanted)[0]))


def report_kinds(path: str, output: Output, reading: ReadingOptions = LOCAL) -> None:
    """Write which rule gave which activities of the run their kind, and which no rule knew."""
    from dpprof.analysis.report.explain_kinds import explain
    from dpprof.trace.load import explain_kinds

    with reading.shown() as how:
        table = explain_kinds(path, user_patterns(), how)
    write_kinds(explain(table, Path(os.path.realpath(path)).name), output)


def run_folders(run: str) -> list[str]:
    """The run itself, or the runs in a folder that holds none itself, the usual baseline last.

    Says so on stderr where these are folders of traces that may as well be parts of one run.
    """
    from dpprof.trace.source.files import pattern_of_all, runs_inside

    folder = Path(run)
    inside = runs_inside(folder) if folder.is_dir() else []
    if len(inside) > 1 and not all((one / MANIFEST_NAME).exists() for one in inside):
        names = ", ".join(one.name for one in inside)
        click.echo(
            f"note: {run} holds traces only in its folders {names}: each is taken as a run; if "
            f"they are one, give '{pattern_of_all(folder, inside)}'",
            err=True,
        )
    return [str(path) for path in sorted(inside, key=_is_baseline)] or [run]


def _is_baseline(folder: Path) -> bool:
    return folder.name == BASELINE_SCHEDULE
