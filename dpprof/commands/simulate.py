"""``dpprof simulate``: a schedule's step in simulated time, reported like a captured one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._output import make_output, output_options
from dpprof.commands._report import write_reports
from dpprof.commands._schedule import find_schedule
from dpprof.costs.load import builtin_costs, load_costs
from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import is_uniform, read_cut, with_cut
from dpprof.reporters import FORMATS
from dpprof.schedules.registry import schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.walk import COMMUNICATIONS, Communication
from dpprof.store.remote import address_of

_LARGEST_COSTS_BYTES = 1_000_000
"""A larger JSON file is a trace."""


@dataclass(frozen=True, kw_only=True)
class _SimulateRequest:
    """The command line's options, as given."""

    name: str
    pp: int | None
    micro_batches: int | None
    costs: str
    communication: str
    layers: str | None


@click.command(
    short_help="Simulate one training step of a schedule.",
    epilog=f"Schedules: {', '.join(schedule_names())}. Costs: {', '.join(builtin_costs())}.",
)
@click.argument("name")
@click.option("--pp", type=click.IntRange(1, 4096), help="Pipeline ranks.")
@click.option(
    "--micro-batches",
    type=click.IntRange(1),
    help="Micro-batches of a step; for dualpipe of both directions together.",
)
@click.option(
    "--costs",
    default="unit",
    show_default=True,
    help="What everything takes: a built-in profile, a JSON or TOML file, or a RUN to measure.",
)
@click.option(
    "--communication",
    type=click.Choice(COMMUNICATIONS),
    default=COMMUNICATIONS[0],
    show_default=True,
    help="Whether ranks compute while their messages travel, or wait for batched commits.",
)
@click.option(
    "--layers",
    metavar="N[,...]",
    help="Layers of one stage's chunk, or of each stage, as in 2,3,3,2. [default: the costs']",
)
@output_options(FORMATS)
def command(
    output_format: str | None, output_path: Path | None, force: bool, **options: Any
) -> None:
    """Simulate one training step of schedule NAME and report it like `analyze`.

    NAME may also be a JSON file that holds a schedule, which then says its own sizes.

    A simulated rank does what its schedule and costs say and nothing else: no host, no noise.
    """
    output = make_output(FORMATS, output_format, output_path, force)
    request = _SimulateRequest(**options)
    schedule = find_schedule(request.name, request.pp, request.micro_batches)

    from dpprof.analysis.report.analyze import analyze
    from dpprof.findings.find import with_findings
    from dpprof.simulate.layers import fitting_costs
    from dpprof.simulate.run import simulated_run

    costs, notes = find_costs(request.costs), tuple[str, ...]()
    cut = () if request.layers is None else read_cut(request.layers, "--layers")
    layers = cut[0] if len(cut) == 1 else None
    if len(cut) > 1:
        costs = with_cut(costs, cut, schedule.placement.stage_count)
    if _is_run(request.costs):
        costs, notes = fitting_costs(costs, schedule, layers)
    run = simulated_run(
        schedule,
        costs,
        layers=layers,
        communication=cast("Communication", request.communication),
    )
    run = replace(run, warnings=(*run.warnings, *notes, *_bigger_model(schedule, costs)))
    write_reports([with_findings(run, analyze(run))], output)


def _bigger_model(schedule: Schedule, costs: CostProfile) -> list[str]:
    """A warning where the schedule's chunks are those of a bigger model than others' are."""
    stages, pp = schedule.placement.stage_count, schedule.pp
    if stages <= pp or not is_uniform(costs):
        return []
    return [
        f"{schedule.name} has {stages} stages on {pp} ranks, and the costs are those of one stage: "
        f"the model is {stages / pp:g} times that of a schedule with {pp} stages (1f1b); give each "
        "stage fewer --layers to compare like with like"
    ]


def find_costs(text: str) -> CostProfile:
    """The costs called `text`, in the file `text`, or measured in the run at `text`."""
    if text in builtin_costs() or not _is_run(text):
        return load_costs(text)
    from dpprof.analysis.costs_from_run import costs_from_run
    from dpprof.trace.load import load_run

    return costs_from_run(load_run(text, patterns=user_patterns()), Path(text).name or "measured")


def _is_run(text: str) -> bool:
    path = Path(text)
    if address_of(text) is not None:
        return True
    if path.is_dir() or text.endswith(".gz") or any(mark in text for mark in "*?["):
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_LARGEST_COSTS_BYTES)
    return len(start) == _LARGEST_COSTS_BYTES or b'"traceEvents"' in start
