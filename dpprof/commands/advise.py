"""``dpprof advise``: what would make the steps of a run shorter, and what to change."""

from __future__ import annotations

from pathlib import Path

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._output import make_output, output_options
from dpprof.commands._reading import ReadingOptions, reading_options
from dpprof.commands._report import write_document
from dpprof.reporters import FORMATS


@click.command(short_help="Say what would make the steps of RUN shorter, and by how much.")
@click.argument("run")
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the trace.")
@reading_options
@output_options(FORMATS)
def command(
    run: str,
    steps: str | None,
    executor: str,
    scheduler: str | None,
    step_range: str,
    output_format: str | None,
    output_path: Path | None,
    force: bool,
) -> None:
    """Say what would make the steps of RUN shorter, by how much, and what to change.

    Each gain is computed by replaying the run's own slots and messages with the problem removed.
    Where the trace cannot carry that, nothing is claimed and the reason is given.
    """
    output = make_output(FORMATS, output_format, output_path, force)
    from dpprof.analysis.report.analyze import analyze
    from dpprof.findings.find import find_findings
    from dpprof.reporters.findings import findings_document, findings_json
    from dpprof.trace.load import load_run

    with ReadingOptions(executor, scheduler, step_range).shown() as how:
        loaded = load_run(run, patterns=user_patterns(), reading=how, steps=steps)
    report = analyze(loaded)
    found = find_findings(loaded, report)
    if output.format == "json":
        output.write(findings_json(report, found))
    else:
        write_document(findings_document(report, found), output)
