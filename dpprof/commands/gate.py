"""``dpprof gate``: exit 1 where a run breaks a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpprof.commands._alternate import Commands, profiled
from dpprof.commands._github import tell_github
from dpprof.commands._output import Output, make_output, output_options
from dpprof.commands._reading import ReadingOptions, reading_options
from dpprof.commands._report import write_gate
from dpprof.commands._sides import SideReader
from dpprof.config.load import load_config
from dpprof.config.values import read_spread
from dpprof.errors import EXIT_LIMIT_BROKEN, EXIT_OK, EXIT_WRONG_USE, DpprofError
from dpprof.reporters.formats.registry import format_names

if TYPE_CHECKING:
    from dpprof.gate.gate import Baseline
    from dpprof.gate.result import GateResult

_FORMATS = (*format_names(), "junit", "github")


@dataclass(frozen=True, kw_only=True)
class _GateRequest:
    """What is gated and by what, from options and configuration."""

    runs: tuple[str, ...]
    baseline: str | None
    rules: tuple[str, ...]
    rules_origin: str
    allow_mismatch: bool
    allow_missing: bool
    profile: str | None
    baseline_profile: str | None
    repeat: int
    run_spread: float | None
    keep: Path | None


@click.command(
    short_help="Exit with 1 where RUN breaks a limit, and say who is to blame.",
    epilog="Rules say when to FAIL: 'bubble_share > 12%', 'any.exposed_ns > 30ms', against the "
    "baseline 'exposed.dispatch_ns > +5% and > 200us', against the ideal 'bubble_ns > 1.2x ideal'. "
    "What is required is written with ==: 'ranks == 8'. `dpprof baseline show RUN` lists metrics.",
)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--baseline", metavar="RUN|FILE", help="What to compare with.")
@click.option(
    "--fail-if",
    "rules",
    metavar="RULE",
    multiple=True,
    help="Condition that fails the gate, as in 'bubble_share > 12%'; repeatable.",
)
@click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Compare with a baseline of something else, and say in what it differs.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Judge figures that lack evidence as they stand, and say so.",
)
@click.option(
    "--profile", metavar="COMMAND", help="Profile with this command, which writes to {out}."
)
@click.option(
    "--baseline-profile",
    metavar="COMMAND",
    help="Profile the baseline too, alternating with the run: A B A B.",
)
@click.option("--repeat", type=click.IntRange(1, 100), help="How often to profile. [default: 1]")
@click.option(
    "--run-spread",
    metavar="SHARE",
    help="How much the means of runs are taken to vary, as a part of the step. [default: 0.5% of "
    "captured runs, 0.1% of emulated ones]",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what was profiled in this new folder.",
)
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the trace.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@click.option(
    "--report",
    "reports",
    metavar="FILE",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result there too: .xml is JUnit, .json, .md, .html, .txt.",
)
@reading_options
@output_options(_FORMATS)
def command(
    runs: tuple[str, ...],
    baseline: str | None,
    rules: tuple[str, ...],
    allow_mismatch: bool,
    allow_missing: bool,
    profile: str | None,
    baseline_profile: str | None,
    repeat: int | None,
    run_spread: str | None,
    keep: Path | None,
    steps: str | None,
    whole_trace: bool,
    reports: tuple[Path, ...],
    executor: str,
    scheduler: str | None,
    step_range: str,
    output_format: str | None,
    output_path: Path | None,
    force: bool,
) -> int:
    """Exit with 1 where RUN breaks a limit, and say which ranks, kinds and causes are behind it.

    RUN is a run folder, traces, or a baseline file; several RUNs are repeats of the same thing.
    Exits with 2 where a limit cannot be judged, because the traces lack evidence for the figure.
    Without rules, a RUN is held against the baseline by default ones. A change counts only where
    it is beyond the limit and beyond the spread of the steps.
    """
    output = make_output(_FORMATS, output_format, output_path, force)
    others = [make_output(_FORMATS, None, path, force) for path in reports]
    config = load_config()
    configured = config.gate
    request = _GateRequest(
        runs=runs,
        baseline=baseline or (str(configured.baseline) if configured.baseline else None),
        rules=rules or configured.fail_if,
        rules_origin="" if rules else f"{config.file}: gate.fail_if",
        allow_mismatch=allow_mismatch,
        allow_missing=allow_missing,
        profile=profile,
        baseline_profile=baseline_profile,
        repeat=repeat or configured.repeat or 1,
        run_spread=(
            configured.run_spread if run_spread is None else read_spread(run_spread, "--run-spread")
        ),
        keep=keep,
    )
    reader = SideReader(ReadingOptions(executor, scheduler, step_range), steps, whole_trace)
    result = _gate(request, reader)
    _write(result, output, others)
    if result.cannot_tell:
        return EXIT_WRONG_USE
    return EXIT_OK if result.passed else EXIT_LIMIT_BROKEN


def _gate(request: _GateRequest, reader: SideReader) -> GateResult:
    from dpprof.gate.gate import gate
    from dpprof.gate.rules import read_rules

    rules = read_rules(request.rules, request.rules_origin)  # before the long work starts
    with _paths(request) as (runs, baselines):
        baseline = _baseline(request, reader, baselines)
        if not rules and baseline is None:
            raise DpprofError(
                "nothing to check; add --fail-if RULE, --baseline RUN|FILE, or rules to [gate] in "
                "dpprof.toml"
            )
        run = reader.read(runs).snapshot
        return gate(
            run,
            rules,
            baseline,
            run_spread=request.run_spread,
            allow_missing=request.allow_missing,
        )


@contextmanager
def _paths(request: _GateRequest) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The runs to gate and those to compare with, profiled where that is asked for."""
    if request.profile is None:
        if not request.runs:
            raise DpprofError("no RUN; name a run folder or traces, or let --profile make one")
        if request.baseline_profile is not None:
            raise DpprofError("--baseline-profile goes with --profile, in turn; add --profile")
        yield request.runs, [request.baseline] if request.baseline else []
        return
    if request.runs:
        raise DpprofError("RUN and --profile: one or the other; leave one out")
    if request.baseline_profile is not None and request.baseline is not None:
        raise DpprofError("--baseline and --baseline-profile: one or the other; leave one out")
    commands = Commands(request.profile, request.baseline_profile, request.repeat)
    with profiled(commands, request.keep) as (runs, baselines):
        yield runs, baselines or ([request.baseline] if request.baseline else [])


def _baseline(request: _GateRequest, reader: SideReader, paths: Sequence[str]) -> Baseline | None:
    from dpprof.gate.gate import Baseline

    if not paths:
        return None
    side = reader.read(paths)
    name = side.name if request.baseline_profile is None else f"{side.name} (baseline)"
    return Baseline(name=name, snapshot=side.snapshot, allow_mismatch=request.allow_mismatch)


def _write(result: GateResult, output: Output, others: Sequence[Output]) -> None:
    for other in others:
        write_gate(result, other)
    write_gate(result, output)
    tell_github(result)
