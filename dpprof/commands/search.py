"""``dpprof search``: find a schedule for given costs that beats the best known one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpprof.commands._output import Output, make_output
from dpprof.commands._report import write_document
from dpprof.commands.simulate import find_costs
from dpprof.config.values import read_size
from dpprof.costs.load import builtin_costs
from dpprof.reporters import FORMATS
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.registry import schedule_definition, schedule_names

if TYPE_CHECKING:
    from dpprof.search.find import FoundSchedule
    from dpprof.search.rounds import Progress


@click.command(
    epilog=f"Schedules: {', '.join(schedule_names())}. Costs: {', '.join(builtin_costs())}."
)
@click.option("--pp", type=click.IntRange(1, 1024), required=True, help="Pipeline ranks.")
@click.option(
    "--micro-batches",
    type=click.IntRange(1, 100_000),
    required=True,
    help="Micro-batches of a step; for dualpipe of both directions together.",
)
@click.option(
    "--costs",
    required=True,
    help="What everything takes: a built-in profile, a JSON or TOML file, or a RUN to measure.",
)
@click.option(
    "--layers", type=click.IntRange(1, 1000), help="Layers of the model. [default: of the costs]"
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="Memory of a device, as in 80GiB. [default: what the best known schedule takes]",
)
@click.option(
    "--schedule",
    "names",
    metavar="A,B",
    help="Known schedules to begin with, whose placement is kept. [default: the fastest of all]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 86_400),
    default=60.0,
    show_default=True,
    help="How long to look.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(list(FORMATS)),
    help=f"Format of what is printed. [default: configured, or {FORMATS[0]}]",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="JSON file for the schedule.",
)
@click.option("--force", is_flag=True, help="Overwrite the output file.")
def command(
    pp: int,
    micro_batches: int,
    costs: str,
    layers: int | None,
    memory: str | None,
    names: str | None,
    seconds: float,
    seed: int,
    output_format: str | None,
    output_path: Path,
    force: bool,
) -> None:
    """Find a schedule for these costs that beats the best known one.

    Orders of slots, overlapped pairs and split backwards are annealed within the memory of a
    device, and compared with a bound that no order can beat. FILE is a schedule that `schedule`,
    `simulate` and `profile` take.
    """
    file = make_output(("json",), "json", output_path, force)
    output = make_output(FORMATS, output_format, None, False)
    from dpprof.search.find import SearchRequest, find
    from dpprof.search.rounds import SearchBudget

    profile = find_costs(costs)
    chosen = tuple(word.strip() for word in (names or "").split(",") if word.strip())
    for name in chosen:
        schedule_definition(name)
    request = SearchRequest(
        pp=pp,
        micro_batches=micro_batches,
        costs=profile,
        model_layers=layers,
        name=_schedule_name(output_path),
        names=chosen,
        memory_bytes=None if memory is None else read_size(memory, "--memory"),
        budget=SearchBudget(seconds, seed),
    )
    with _shown(seconds) as progress:
        found = find(request, progress)
    file.write(json.dumps(schedule_to_json(found.best.schedule)))
    _write(found, output)


def _schedule_name(path: Path) -> str:
    """The schedule is called like its file, but never like a known one."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", path.name.split(".")[0]) or "found"
    return f"found-{stem}" if stem in schedule_names() else stem


@contextmanager
def _shown(seconds: float) -> Iterator[Progress | None]:
    """A bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        click.echo(f"searching for {seconds:g} s", err=True)
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("searching", total=1.0)
        yield lambda share, _: bar.update(task, completed=share)


def _write(found: FoundSchedule, output: Output) -> None:
    from dpprof.reporters.search import found_document, found_json
    from dpprof.search.anneal import has_compiled

    if output.format == "json":
        output.write(found_json(found))
        return
    document = found_document(found)
    if not has_compiled():
        slow = "dpprof was built without a C compiler: the search ran some hundred times slower"
        document = replace(document, warnings=(slow,))
    write_document(document, output)
