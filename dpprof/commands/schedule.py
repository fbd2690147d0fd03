"""``dpprof schedule``: print a pipeline schedule as a grid for people or JSON for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from dpprof.commands._output import Output, make_output, output_options
from dpprof.commands._schedule import find_schedule, schedule_listing
from dpprof.schedules.actions import OVERLAPPED_PAIR
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.grid import schedule_grid, unpainted
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.schedule import Schedule

FORMATS = ("table", "json", "markdown")
FILE_WIDTH = 100

# Backgrounds of the 256-colour palette, near to those of DualPipe's figure; text is black.
_BACKGROUNDS = {"F": 222, "B": 71, "I": 116, "W": 75, OVERLAPPED_PAIR: 215}


@click.command(name="schedule", epilog=f"\b\nSchedules:\n{schedule_listing()}")
@click.argument("name", required=False)
@click.option("--pp", type=click.IntRange(min=1), help="Number of pipeline ranks.")
@click.option(
    "--micro-batches",
    type=click.IntRange(min=1),
    help="Micro-batches of a step; for dualpipe of both directions together.",
)
@output_options(FORMATS)
def command(
    name: str | None,
    pp: int | None,
    micro_batches: int | None,
    output_format: str | None,
    output_path: Path | None,
    force: bool,
) -> None:
    """Print the schedule NAME, or the one in a JSON file, checked.

    Without NAME the known schedules are listed and nothing else is done.
    """
    output = make_output(FORMATS, output_format, output_path, force)
    if name is None:
        click.echo(schedule_listing())
        return
    schedule = find_schedule(name, pp, micro_batches)
    output.write(_render(schedule, output))


def _render(schedule: Schedule, output: Output) -> str:
    if output.format == "json":
        return json.dumps(schedule_to_json(schedule))
    if output.format == "markdown":
        grid = schedule_grid(schedule, FILE_WIDTH)
        return f"## {_title(schedule)}\n\n```text\n{grid}\n```\n\n{_rank_table(schedule)}"
    width = FILE_WIDTH if output.path else shutil.get_terminal_size((FILE_WIDTH, 24)).columns
    paint = _paint if output.color else unpainted
    return f"{_title(schedule)}\n\n{schedule_grid(schedule, width, paint)}\n\n{_peaks(schedule)}"


def _title(schedule: Schedule) -> str:
    streams = schedule.placement.stream_count
    each = f" ({schedule.micro_batches_per_stream} each way)" if streams == 2 else ""
    return f"{schedule.name}: {schedule.pp} ranks, {schedule.micro_batches} micro-batches{each}"


def _peaks(schedule: Schedule) -> str:
    peaks = " ".join(str(peak.total) for peak in peak_in_flight(schedule))
    return f"Chunks in flight at most, by rank: {peaks}"


def _rank_table(schedule: Schedule) -> str:
    lines = ["| rank | stages | slots | chunks in flight at most |", "|---:|---|---:|---:|"]
    for pp_rank, peak in enumerate(peak_in_flight(schedule)):
        stages = ", ".join(map(str, schedule.placement.stages[pp_rank]))
        lines.append(f"| {pp_rank} | {stages} | {len(schedule.ranks[pp_rank])} | {peak.total} |")
    return "\n".join(lines)


def _paint(operation: str, text: str) -> str:
    return click.style(text, fg="black", bg=_BACKGROUNDS[operation])
