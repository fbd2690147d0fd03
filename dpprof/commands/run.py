"""``dpprof run -- COMMAND``: profile anybody's training, without a changed line."""

from __future__ import annotations

from pathlib import Path

import click

from dpprof.launcher.job import LaunchedJob
from dpprof.launcher.rules import read_rule
from dpprof.launcher.settings import NOTES, Settings


@click.command(
    short_help="Run a training command unchanged and record its steps.",
    context_settings={"ignore_unknown_options": False},
)
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dpprof-run"),
    show_default=True,
    help="Run folder to write; if it holds a run already, the next free name beside it.",
)
@click.option(
    "--num-steps", type=click.IntRange(1), default=3, show_default=True, help="Steps to record."
)
@click.option(
    "--warmup",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Steps that run under the profiler before, and are dropped.",
)
@click.option(
    "--skip",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Steps to leave alone before that; the first one always is.",
)
@click.option("--adapters", metavar="A,B", default="", help="Only these adapters. [default: all]")
@click.option("--memory", is_flag=True, help="On GPUs: write what every allocation is for.")
@click.option(
    "--when",
    metavar="RULE",
    default="",
    help="When to record: 'step == 2000', 'step % 1000 == 0', 'step_time > 1.5x median', signal.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a JSON line for each window to this file.",
)
def command(
    command: tuple[str, ...],
    output: Path,
    num_steps: int,
    warmup: int,
    skip: int,
    adapters: str,
    memory: bool,
    when: str,
    quiet: bool,
    log: Path | None,
) -> int:
    """Run COMMAND, which trains, and write what its steps did to OUTPUT.

    COMMAND is anything that starts Python in the end: python train.py, torchrun ..., deepspeed
    ..., accelerate launch ..., srun ... Its output and exit code are its own. What dpprof has to
    say goes to stderr, when the job has ended.
    """
    settings = Settings(
        folder=str(output.absolute()),
        notes=str(output.absolute() / NOTES),
        steps=num_steps,
        warmup=warmup,
        skip=skip,
        adapters=[name.strip() for name in adapters.split(",") if name.strip()],
        memory=memory,
        when=when,
    )
    from dpprof.commands._run_summary import Summary
    from dpprof.instrument.adapters.registry import find_adapters

    find_adapters(settings.adapters)
    if when:
        read_rule(when)
    return LaunchedJob(list(command), settings, Summary(quiet, log)).run()
