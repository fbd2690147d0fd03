"""``dpprof profile``: run instrumented training steps of the reference implementation."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._output import Output
from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_impl.job import Job

_DEVICES = ("auto", "cuda", "cpu", "emulated")


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The command line's options, as given."""

    schedule: str
    pp: int
    ep: int
    micro_batches: int | None
    device: str
    costs: str
    model: str
    layers: int | None
    steps: int
    warmup: int
    seed: int
    output: Path
    force: bool


@click.command()
@click.option(
    "--schedule",
    default="dualpipe,1f1b",
    show_default=True,
    help="Schedules to profile, one after the other (`dpprof schedule` lists them).",
)
@click.option("--pp", type=click.IntRange(1, 1024), default=4, show_default=True, help="Ranks.")
@click.option("--ep", type=click.IntRange(1, 1024), default=1, show_default=True)
@click.option(
    "--micro-batches",
    type=click.IntRange(1),
    help="Per step; DualPipe counts both directions together. [default: 2.5 per stage, even]",
)
@click.option("--device", type=click.Choice(_DEVICES), default="auto", show_default=True)
@click.option(
    "--costs",
    default="deepseek-v3",
    show_default=True,
    help="Times that the emulated device models: a built-in profile or a file.",
)
@click.option("--model", default="tiny", show_default=True, help="Preset of the reference model.")
@click.option(
    "--layers",
    type=click.IntRange(1),
    help="Layers of the whole model. [default: the same for all schedules, so that they compare]",
)
@click.option("--steps", type=click.IntRange(1, 1000), default=3, show_default=True)
@click.option("--warmup", type=click.IntRange(1, 1000), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dpprof-run"),
    show_default=True,
    help="Folder for the runs, one sub-folder a schedule.",
)
@click.option("--force", is_flag=True, help="Replace runs that are already there.")
def command(**options: Any) -> None:
    """Profile training steps of the reference implementation, one process per rank.

    Writes OUTPUT/<schedule>/run.json and a trace per rank, and prints what they hold. On a machine
    without GPUs, `--device cpu` runs the real model and `--device emulated` models the time of
    every component and message from a cost profile, over real processes and messages. Under
    torchrun the ranks join its world.
    """
    request = _Request(**options)
    jobs = _make_jobs(request)
    joined = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    run: Callable[[Job], None] = _join if joined else _launch
    folders = [_run_into_place(job, run, request.force) for job in jobs]
    if int(os.environ.get("RANK", "0")) == 0:
        _report(folders)


def _make_jobs(request: _Request) -> list[Job]:
    """Every job of the request, checked before the first one starts."""
    from dpprof.schedules.form import schedule_to_json
    from dpprof.schedules.registry import make_schedule
    from reference_impl.job import Job, resolve_device

    names = [name.strip() for name in request.schedule.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise DpprofError(f"--schedule {request.schedule}: give every schedule once")
    micro_batches = request.micro_batches or _default_micro_batches(request.pp)
    schedules = [make_schedule(name, request.pp, micro_batches) for name in names]
    world_size = request.pp * request.ep
    _check_world(world_size)
    device = resolve_device(request.device, world_size)
    stages = [schedule.placement.stage_count for schedule in schedules]
    costs, sizes, layers = _model_of(request, device, stages)
    return [
        Job(
            schedule=schedule_to_json(schedule),
            pp=request.pp,
            ep=request.ep,
            device=device,
            folder=str(request.output / schedule.name),
            layers=_layers_per_stage(layers, count, schedule.name),
            steps=request.steps,
            warmup=request.warmup,
            seed=request.seed,
            sizes=sizes,
            costs=costs,
        )
        for schedule, count in zip(schedules, stages, strict=True)
    ]


def _default_micro_batches(pp: int) -> int:
    """DualPipe's paper shows 20 micro-batches on 8 ranks: 2.5 a rank."""
    return max(2, 2 * -(-5 * pp // 4))


def _check_world(world_size: int) -> None:
    given = os.environ.get("WORLD_SIZE") if "RANK" in os.environ else None
    if given is not None and given != str(world_size):
        raise DpprofError(
            f"--pp x --ep is {world_size}, but torchrun started {given} processes; make them equal"
        )


def _model_of(
    request: _Request, device: str, stages: list[int]
) -> tuple[dict[str, Any] | None, dict[str, Any], int]:
    """Costs of the emulated device or sizes of the real model; and the layers of all stages."""
    if device == "emulated":
        import msgspec

        from dpprof.costs import load_costs

        profile = load_costs(request.costs)
        return msgspec.to_builtins(profile), {}, request.layers or profile.layers * max(stages)
    import dataclasses
    import math

    from reference_impl.config import preset

    config = preset(request.model)
    whole = math.lcm(*stages)
    layers = request.layers or -(-config.layers // whole) * whole
    config = dataclasses.replace(config, layers=layers, seed=request.seed)
    for count in stages:
        config.check_parallel(count, request.ep)
    return None, config.to_json(), layers


def _layers_per_stage(layers: int, stages: int, schedule: str) -> int:
    if layers % stages:
        raise DpprofError(
            f"{layers} layers do not divide by the {stages} stages of {schedule}; "
            f"choose --layers as a multiple of {stages}"
        )
    return layers // stages


def _run_into_place(job: Job, run: Callable[[Job], None], force: bool) -> Path:
    """Run the job in a folder beside its own, and put that in place when it is whole."""
    import dataclasses

    folder = Path(job.folder)
    partial = folder.with_name(f".{folder.name}.partial")
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        if folder.exists() and not force:
            raise DpprofError(
                f"{folder}: exists already; choose another folder with -o or add --force"
            )
        _make_empty(partial)
    try:
        run(dataclasses.replace(job, folder=str(partial)))
        if first:
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        if first:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _make_empty(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise DpprofError(f"{folder.parent}: cannot be written ({error.strerror})") from error


def _launch(job: Job) -> None:
    from reference_impl.launch import launch

    with _progress(job) as advance:
        launch(job, advance)


def _join(job: Job) -> None:
    from reference_impl.host import sigterm_as_interrupt
    from reference_impl.train import train

    with sigterm_as_interrupt():
        train(job, int(os.environ["RANK"]), "env://", lambda _: None)


@contextmanager
def _progress(job: Job) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal, one line where it is not."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    schedule = job.schedule["schedule"]
    title = f"{schedule} on {job.world_size} {job.device} ranks"
    console = Console(stderr=True)
    if not console.is_terminal:
        click.echo(f"profiling {title}: {job.warmup} + {job.steps} steps", err=True)
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TextColumn("steps"), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(f"profiling {title}", total=job.warmup + job.steps)
        yield lambda done: progress.update(task, completed=done)


def _report(folders: list[Path]) -> None:
    from dpprof.commands.analyze import report_runs

    for folder in folders:
        click.echo(f"Wrote {folder}", err=True)
    report_runs([str(folder) for folder in folders], Output(None, "table"))
    click.echo(f"\nMore on one run: dpprof analyze {folders[0]}", err=True)
    sys.stderr.flush()
