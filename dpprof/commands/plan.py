"""``dpprof plan``: which schedule on how many pipeline ranks, ranked by predicted step time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._output import make_output, output_options
from dpprof.commands._report import write_document
from dpprof.commands.simulate import find_costs
from dpprof.config.values import read_size
from dpprof.costs.load import builtin_costs, load_costs, times_unknown
from dpprof.errors import DpprofError
from dpprof.reporters import FORMATS
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.registry import make_schedule, schedule_definition, schedule_names

if TYPE_CHECKING:
    from dpprof.plan.question import Plan, Question, Row
    from dpprof.reporters.plan import PlanCheck
    from dpprof.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The command line's options, as given."""

    run: str | None
    costs: str | None
    ranks: int | None
    memory: str | None
    pp: str | None
    vpp: str | None
    micro_batches: str | None
    schedule: str | None
    layers: int | None
    recompute: str
    ep: str | None
    rows: int


@click.command(
    short_help="Rank schedules and pipeline sizes by predicted step time.",
    epilog=f"Schedules: {', '.join(schedule_names())}. Costs: {', '.join(builtin_costs())}.",
)
@click.argument("run", required=False)
@click.option("--costs", help="A built-in profile, a JSON or TOML file, or a RUN to measure.")
@click.option("--ranks", type=click.IntRange(1, 4096), help="Devices. [default: those of RUN]")
@click.option("--memory", metavar="SIZE", help="Memory of a device, as in 80GiB.")
@click.option("--pp", metavar="N,...", help="Pipeline ranks. [default: all that divide --ranks]")
@click.option("--vpp", metavar="N,...", help="Chunks of a rank, in one direction. [default: all]")
@click.option(
    "--micro-batches",
    metavar="M,...",
    help="Of a step, shared among the pipelines. [default: those of RUN]",
)
@click.option("--schedule", metavar="A,B", help="Schedules to compare. [default: all]")
@click.option(
    "--ep",
    metavar="N,...",
    help="Ranks that share the experts, for --costs with a model's shape. [default: the shape's]",
)
@click.option(
    "--layers",
    type=click.IntRange(1, 100_000),
    help="Layers of the model. [default: of RUN, or a stage's of the costs on every rank]",
)
@click.option(
    "--recompute",
    type=click.Choice(["auto", "none", "full", "both"]),
    default="auto",
    show_default=True,
    help="Activations made again in the backward; auto: where nothing fits --memory without.",
)
@click.option(
    "--write-schedule",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="JSON file for the schedule of a row, the first or --row.",
)
@click.option(
    "--row",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Row whose schedule --write-schedule writes, from 1.",
)
@click.option("--rows", type=click.IntRange(1), default=15, show_default=True, help="Rows shown.")
@output_options(FORMATS)
def command(
    output_format: str | None,
    output_path: Path | None,
    write_schedule: Path | None,
    row: int,
    force: bool,
    **options: Any,
) -> None:
    """Rank configurations of schedule and pipeline ranks by predicted step time.

    Costs are measured in RUN, or given with --costs. Every configuration is of the same model and
    the same micro-batches a step; those that do not fit --memory come last.
    """
    output = make_output(FORMATS, output_format, output_path, force)
    schedule = write_schedule and make_output(("json",), "json", write_schedule, force)
    request = _Request(**options)
    from dpprof.reporters.plan import plan_document, plan_json

    run = _load(request.run)
    questions = _questions(request, run)
    question, plan = questions[0], _answer(request, questions)
    if row > len(plan.rows):
        raise DpprofError(f"--row {row}: the plan has {len(plan.rows)} rows; give a lower number")
    check = None if run is None else _check(run, question)
    if schedule:
        schedule.write(_schedule_json(plan.rows[row - 1]))
    if output.format == "json":
        output.write(plan_json(plan, check))
    else:
        write_document(plan_document(plan, check, question, request.rows), output)


def _answer(request: _Request, questions: Sequence[Question]) -> Plan:
    """The plan; with recomputation where that is asked for, or nothing fits without."""
    from dpprof.plan.answer import answers

    def answered(words: tuple[str, ...]) -> Plan:
        return answers([replace(question, recompute=words) for question in questions])

    words = {"none": ("none",), "full": ("full",), "both": ("none", "full")}
    if request.recompute != "auto":
        return answered(words[request.recompute])
    plan = answered(words["none"])
    if plan.rows[0].fits is False and questions[0].costs.message.bytes:
        return answered(words["both"])
    return plan


def _schedule_json(row: Row) -> str:
    schedule = make_schedule(row.schedule, row.pp, row.micro_batches)
    return json.dumps(schedule_to_json(schedule))


def _load(path: str | None) -> Run | None:
    if path is None:
        return None
    from dpprof.trace.load import load_run

    return load_run(path, patterns=user_patterns())


def _questions(request: _Request, run: Run | None) -> list[Question]:
    """One for each number of ranks that are to share the experts; one where none is given."""
    eps = _numbers(request.ep, "--ep")
    if not eps:
        return [_question(request, run, None)]
    if request.costs is None:
        raise DpprofError(
            "--ep: a run tells what its own experts cost, not what others would; give --costs with "
            "a model's shape and rates, or plan from a run with that --ep"
        )
    return [_question(request, run, ep) for ep in eps]


def _question(request: _Request, run: Run | None, ep: int | None) -> Question:
    from dpprof.costs.stages import model_layers, usual_layers
    from dpprof.plan.question import Question

    schedule = None if run is None else run.schedule
    if request.costs is not None:
        costs = find_costs(request.costs) if ep is None else load_costs(request.costs, ep)
    elif run is not None:
        from dpprof.analysis.costs_from_run import costs_from_run

        costs = costs_from_run(run, run.name)
    else:
        raise DpprofError("nothing to plan from; give a RUN, or --costs NAME|FILE|RUN")
    ranks = request.ranks or (schedule.pp if schedule else None)
    micro_batches = _numbers(request.micro_batches, "--micro-batches") or (
        (schedule.micro_batches,) if schedule else ()
    )
    if ranks is None or not micro_batches:
        raise DpprofError("give --ranks and --micro-batches, as in --ranks 8 --micro-batches 32")
    stages = schedule.placement.stage_count if schedule else ranks
    layers = request.layers or model_layers(costs, stages)
    if costs.model and layers != model_layers(costs, stages):
        note = f"note: the costs list other layers than --layers {layers}: all are taken as usual"
        click.echo(note, err=True)
        costs = usual_layers(costs)
    return Question(
        ranks=ranks,
        costs=costs,
        layers=layers,
        micro_batches=micro_batches,
        memory_bytes=None if request.memory is None else read_size(request.memory, "--memory"),
        pps=_numbers(request.pp, "--pp"),
        chunks=_numbers(request.vpp, "--vpp"),
        names=_names(request.schedule),
        ep=ep,
        times_unknown=times_unknown(request.costs, ep) if request.costs and ep else "",
    )


def _numbers(text: str | None, option: str) -> tuple[int, ...]:
    """Positive numbers, apart by commas."""
    words = [] if text is None else [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word[:9]) > 0 for word in words):
        raise DpprofError(f"{option} {text}: give numbers from 1, apart by commas, as in 4,8")
    return tuple(int(word[:9]) for word in words)


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for name in names:
        schedule_definition(name)
    return names


def _check(run: Run, question: Question) -> PlanCheck | None:
    """What the same costs predict for the run itself; None where its schedule is not known."""
    if run.schedule is None:
        return None
    from dpprof.analysis.report.analyze import analyze
    from dpprof.reporters.plan import PlanCheck
    from dpprof.simulate.fast_step import fast_step
    from dpprof.simulate.stage_timing import schedule_timing

    measured = analyze(run).step_ns
    if measured is None:
        return None
    timing = schedule_timing(run.schedule, question.costs)  # a run's costs are of its own chunks
    predicted = fast_step(run.schedule, timing).step_ns
    return PlanCheck(measured, predicted)
