"""``dpprof profile``: run instrumented training steps of the reference implementation."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._jobs import JobRequest, make_jobs
from dpprof.commands._output import Output
from dpprof.commands._place import (
    check_targets,
    first_place,
    partial_of,
    place_beside,
    put_in_place,
)
from dpprof.commands._streams import say
from dpprof.errors import DpprofError
from dpprof.reference.model.presets import PRESETS
from dpprof.system.whole import working_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from dpprof.reference.job import Job
    from dpprof.reference.launch.world import JobWorld

_DEVICES = ("auto", "cuda", "cpu", "emulated")


@click.command(short_help="Profile training steps of the reference implementation.")
@click.option(
    "--schedule",
    help="Schedules to profile, one after the other (`dpprof schedule` lists them). "
    "[default: dualpipe,1f1b; with --pp 1 dualpipev,1f1b]",
)
@click.option(
    "--pp",
    type=click.IntRange(1, 1024),
    help="Pipeline ranks. [default: 4, or what torchrun's world holds]",
)
@click.option(
    "--ep", type=click.IntRange(1, 1024), default=1, show_default=True, help="Expert ranks."
)
@click.option(
    "--dp",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Replicas of the expert ranks; they share the optimizer's state (ZeRO-1).",
)
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
@click.option(
    "--model",
    default="tiny",
    show_default=True,
    help=f"Preset of the reference model: {', '.join(PRESETS)}.",
)
@click.option(
    "--set",
    "sizes",
    multiple=True,
    metavar="SIZE=VALUE",
    help="Change one size of the model; repeatable. Give an unknown one to see the list.",
)
@click.option(
    "--expert-load",
    type=click.Path(exists=True, path_type=Path),
    help="Place experts by the load that this run measured.",
)
@click.option(
    "--redundant-experts",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="With --expert-load: slots for copies of busy experts.",
)
@click.option(
    "--share-gpus",
    is_flag=True,
    help="Run several pipeline ranks on one GPU; their messages go through the host.",
)
@click.option(
    "--memory-history",
    is_flag=True,
    help="On GPUs: write what every allocation is for.",
)
@click.option(
    "--layers",
    type=click.IntRange(1),
    help="Layers of the whole model. [default: the same for all schedules, so that they compare]",
)
@click.option(
    "--num-steps",
    "steps",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="How many steps to record, after those of the warm-up.",
)
@click.option("--warmup", type=click.IntRange(1, 1000), default=2, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--inject",
    metavar="FAULT",
    multiple=True,
    help="What if: a fault in the emulated times, as in compute@2=1.2x (rank 2 is slower), "
    "serial=dispatch, sync@1=300us, activations=1.2x.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dpprof-run"),
    show_default=True,
    help="Folder for the runs, one sub-folder a schedule.",
)
@click.option(
    "--rank-timeout",
    type=click.FloatRange(0.1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="End all ranks if none finishes a step within this time, and say who hangs and where.",
)
@click.option("--force", is_flag=True, help="Replace runs that are already there.")
def command(**options: Any) -> None:
    """Profile training steps of the reference implementation, one process per rank.

    Writes OUTPUT/<schedule>/run.json and a trace per rank, and prints what they hold. On a machine
    without GPUs, `--device cpu` runs the real model and `--device emulated` models the time of
    every component and message from a cost profile, over real processes and messages. Under
    torchrun the ranks join its world.
    """
    timeout_seconds = options.pop("rank_timeout")
    jobs = make_jobs(JobRequest(**options))
    folders = [Path(job.folder) for job in jobs]
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        check_targets(folders, options["force"])
    with _world(jobs[0], folders, timeout_seconds) as world:
        for job, folder in zip(jobs, folders, strict=True):
            beside = place_beside(folder, world.wait, force=options["force"])
            with first_place(folder, world.wait) if first else beside as (partial, is_own):
                world.run(dataclasses.replace(job, folder=str(partial)))
                lost = world.which(not _has_trace(partial))
                if is_own:
                    put_in_place(folder)
            if is_own and not first:
                click.echo(_alone(folder, job), err=True)
            if lost:  # every rank ends so: torchrun lets those that end well wait for the others
                raise DpprofError(
                    f"{folder}: no trace of {', '.join(lost)}, which could not write it; make "
                    "room there, and profile again (the traces of the other ranks are kept)"
                )
    if first:
        _report(folders)


def _has_trace(folder: Path) -> bool:
    """Whether there is a trace of this rank; of one of them where they are started from here."""
    return any(folder.glob(f"rank{os.environ.get('RANK', '*')}.json*"))


@contextmanager
def _world(job: Job, folders: list[Path], timeout_seconds: float) -> Iterator[JobWorld]:
    """A launcher of processes, or, under torchrun, its world of which this process is a rank."""
    from dpprof.reference.launch.world import JobWorld

    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield JobWorld(lambda job: _launch(job, timeout_seconds), lambda: None, lambda _: [])
        return
    from dpprof.reference.launch.torchrun import joined_world

    with working_folder() as work:
        tempfile.tempdir = str(work)  # SIGTERM, of which torchrun's ranks die, leaves nothing

        def clean_up() -> None:
            for folder in (work, *map(partial_of, folders)):
                shutil.rmtree(folder, ignore_errors=True)

        with joined_world(job, clean_up, timeout_seconds) as joined:
            yield joined
        tempfile.tempdir = None


def _alone(folder: Path, job: Job) -> str:
    """What a host says that does not share its folders with the first rank's."""
    return (
        f"Wrote {folder}: traces of this host alone, which does not see rank 0's folder; gather "
        f"those of all {job.world_size} ranks: dpprof analyze 'FOLDERS/*/rank*.json.gz'"
    )


def _launch(job: Job, timeout_seconds: float) -> None:
    from dpprof.reference.launch.local_ranks import launch

    with _progress(job) as advance:
        launch(job, advance, timeout_seconds, say)


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
