"""``dpprof diff``: what changed between two runs and why, adding up exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._output import make_output, output_options
from dpprof.commands._reading import ReadingOptions, reading_options
from dpprof.commands._report import write_diff
from dpprof.errors import DpprofError
from dpprof.reporters.diff.render import DIFF_FORMATS

if TYPE_CHECKING:
    from dpprof.runs.run import Run

SIMULATED = "simulated"


@click.command()
@click.argument("base", metavar="BASE")
@click.argument("new", metavar="NEW")
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the traces.")
@click.option(
    "--base-steps", metavar="N[-M],...", help="Steps to use of BASE. [default: those of --steps]"
)
@click.option("--whole-trace", is_flag=True, help="Take each trace as one window.")
@reading_options
@output_options(DIFF_FORMATS)
def command(
    base: str,
    new: str,
    steps: str | None,
    base_steps: str | None,
    whole_trace: bool,
    executor: str,
    scheduler: str | None,
    step_range: str,
    output_format: str | None,
    output_path: Path | None,
    force: bool,
) -> None:
    """Say what changed from BASE to NEW and why.

    BASE and NEW are each a run folder, a folder or glob of trace files, or one trace file. One of
    them may be `simulated`, the other one's schedule with its own measured costs in simulated time
    (ideal against real), or `simulated:SCHEDULE`, another schedule with these costs.

    Every difference adds up to the nanosecond. Times in tables are means per step and rank; in
    JSON they are sums over a common number of steps and ranks, which it says.
    """
    output = make_output(DIFF_FORMATS, output_format, output_path, force)
    wanted = {"steps": steps, "whole_trace": whole_trace}
    sides = ((base, wanted | {"steps": base_steps or steps}), (new, wanted))
    runs = _load(sides, ReadingOptions(executor, scheduler, step_range))

    from dpprof.analysis.diff.diff_runs import diff_runs

    write_diff(diff_runs(*runs), output)


def _load(
    sides: tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]], reading: ReadingOptions
) -> tuple[Run, Run]:
    (base, of_base), (new, of_new) = sides
    if _is_simulated(base) and _is_simulated(new):
        raise DpprofError(
            "BASE and NEW are both simulated, and costs are measured in a run; give one RUN, or "
            "compare schedules with `dpprof simulate`"
        )
    if _is_simulated(base):
        run = _read(new, of_new, reading)
        return _simulated(base, run), run
    run = _read(base, of_base, reading)
    return run, _simulated(new, run) if _is_simulated(new) else _read(new, of_new, reading)


def _is_simulated(text: str) -> bool:
    return text.partition(":")[0] == SIMULATED and not Path(text).exists()


def _read(path: str, wanted: dict[str, Any], reading: ReadingOptions) -> Run:
    from dpprof.trace.load import load_run

    with reading.shown() as how:
        return load_run(path, patterns=user_patterns(), reading=how, **wanted)


def _simulated(text: str, run: Run) -> Run:
    from dpprof.api import LoadedRun

    name = text.partition(":")[2] or None
    simulated = LoadedRun(run).simulate(name).run
    schedule = name or (run.schedule.name if run.schedule else run.name)
    return replace(simulated, name=f"simulated {schedule}")
