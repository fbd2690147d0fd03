"""Gates from Python: runs, baselines and files by path, rules as text, to a result."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dpprof.analysis.report.analyze import analyze
from dpprof.api import LoadedRun, load
from dpprof.errors import DpprofError
from dpprof.gate.files import is_baseline, read_baseline
from dpprof.gate.gate import Baseline
from dpprof.gate.gate import gate as gate_snapshots
from dpprof.gate.measure import Measured, take_snapshot
from dpprof.gate.result import GateResult
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.runs.manifest import MANIFEST_NAME
from dpprof.runs.run import Run
from dpprof.store.remote import without_secrets
from dpprof.trace.file_names import RunPath
from dpprof.trace.source.remote_runs import file_here

__all__ = ["GateSide", "gate", "read_side", "run_folder"]

Loader = Callable[[str], Run]
Gateable = RunPath | LoadedRun | Sequence[RunPath | LoadedRun]


@dataclass(frozen=True)
class GateSide:
    """What is gated, or compared with: its figures, and its name for messages."""

    name: str
    snapshot: FigureSnapshot


def gate(
    run: Gateable,
    rules: str | Sequence[str] = (),
    *,
    baseline: Gateable | None = None,
    allow_mismatch: bool = False,
    run_spread: float | None = None,
    allow_missing: bool = False,
) -> GateResult:
    """Check a run by rules (``"bubble_share > 12%"``), beside a baseline where they need one.

    `run` and `baseline` are what ``dpprof gate`` takes: paths of runs, several for repeats of the
    same thing, or a baseline file; or loaded runs. Without rules the default ones hold the run
    against the baseline. `run_spread` is how much runs are taken to vary, as a part of the step
    time (see `dpprof.statistics.difference.RUN_SPREADS`). With `allow_missing`, figures that lack
    evidence are judged as they stand. Raises `DpprofError` for wrong rules and for runs that do
    not compare.
    """
    texts = [rules] if isinstance(rules, str) else rules
    if baseline is None:
        return gate_snapshots(read_side(run).snapshot, texts, allow_missing=allow_missing)
    other = read_side(baseline)
    beside = Baseline(name=other.name, snapshot=other.snapshot, allow_mismatch=allow_mismatch)
    return gate_snapshots(
        read_side(run).snapshot,
        texts,
        beside,
        run_spread=run_spread,
        allow_missing=allow_missing,
    )


def read_side(given: Gateable, load_run: Loader | None = None) -> GateSide:
    """The figures of a run, of several runs of the same thing, or in a baseline file."""
    many = [given] if isinstance(given, str | os.PathLike | LoadedRun) else list(given)
    if not many:
        raise DpprofError("no run given; name a run folder, a trace, or a baseline file")
    if len(many) == 1 and not isinstance(many[0], LoadedRun):
        file = Path(file_here(many[0]))
        if is_baseline(file):
            return GateSide(_name(many[0]), read_baseline(file))
    measured = [_measured(one, load_run or _load) for one in many]
    snapshot = take_snapshot(measured)
    return GateSide(snapshot.runs[0] if len(many) > 1 else _name(many[0]), snapshot)


def _name(one: RunPath | LoadedRun) -> str:
    return one.name if isinstance(one, LoadedRun) else without_secrets(os.fspath(one))


def _load(path: str) -> Run:
    return load(path).run


def _measured(one: RunPath | LoadedRun, load_run: Loader) -> Measured:
    if isinstance(one, LoadedRun):
        return Measured(one.run, one.report())
    run = load_run(run_folder(os.fspath(one)))
    return Measured(run, analyze(run))


def run_folder(path: str) -> str:
    """The run itself, or the only run folder in a folder that is none.

    Raises `DpprofError` where there are several: a gate is about one run.
    """
    folder = Path(path)
    if glob.has_magic(path) or not folder.is_dir() or (folder / MANIFEST_NAME).exists():
        return path
    inside = sorted(one.parent for one in folder.glob(f"*/{MANIFEST_NAME}"))
    if len(inside) > 1:
        names = ", ".join(one.name for one in inside)
        raise DpprofError(f"{path}: holds several runs ({names}); name one of them")
    return str(inside[0]) if inside else path
