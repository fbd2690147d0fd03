"""False alarms and power of the gate's default rules, with noise from measured runs.

    python tests/benchmarks/bench_gate.py [--runs FOLDER] [--profile N] [--calm] [--far]

Profiles DualPipe and 1F1B N times each on the emulated device into FOLDER, or takes the runs that
are there (FOLDER/*/dualpipe, FOLDER/*/1f1b). Then:

1. spread: how far the steps of a run and the runs differ;
2. pairs of measured runs made soon after each other (with --far, all pairs), one the baseline of
   the other: nothing has changed, so each failure is a false alarm; then the same with 5 % more
   exposed communication, or 5 % more bubble, in every step and on every rank of the run;
3. the same with three runs a side, made in turn;
4. the same with drawn runs of five steps that have the measured spread, one a side and two.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from dpprof.analysis.model import Report
from dpprof.analysis.report.analyze import analyze
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.measure import Measured, take_snapshot
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.runs.run import Run
from dpprof.tables.kinds import BUBBLE_STATES, EXPOSED_STATES, STATES
from dpprof.trace.load import load_run

SCHEDULES = ("dualpipe", "1f1b")
PROFILE = "--pp 4 --micro-batches 8 --layers 8 --num-steps 5 --device emulated"
STEPS = 5
_MEDIAN_OF_5 = 0.287
"""Variance of the median of five normal samples, over theirs."""
_DISTURBED = 0.005
_NEAR = 3
"""Pairs are of runs that were made so near each other: what else the machine does drifts."""
_RESAMPLED = np.sqrt(5 / 4)
"""Five samples drawn from five vary less than those did, by this factor."""
States = npt.NDArray[np.float64]  # (steps, ranks, states) of a run, nanoseconds


def profile(folder: Path, times: int) -> None:
    """Profile both schedules `times` times, in turn."""
    for number in range(times):
        for schedule in SCHEDULES:
            command = [sys.executable, "-m", "dpprof", "profile", "--schedule", schedule]
            target = ["-o", str(folder / str(number))]
            subprocess.run([*command, *PROFILE.split(), *target], check=True, capture_output=True)


def states_of(report: Report) -> States:
    """What the states took, by step and rank."""
    steps = [
        [[rank.states_ns[state] for state in STATES] for rank in step.ranks]
        for step in report.per_step
    ]
    return np.array(steps, dtype=float)


class Noise:
    """Draws runs with the spread of measured ones. Has state: the generator.

    A run is the median of all, plus what a measured run differs from the one before it (over the
    root of two, as both differ), plus for each step what a step of that same run differs from its
    median: runs with disturbed steps also have disturbed medians. What of the difference of runs
    is only that of their steps is taken off.
    """

    def __init__(self, runs: list[States], seed: int) -> None:
        self._random = np.random.default_rng(seed)
        middles = np.array([np.median(run, axis=0) for run in runs])
        self.middle = np.median(middles, axis=0)
        self.residuals = [(run - np.median(run, axis=0)) * _RESAMPLED for run in runs[1:]]
        effects = np.diff(middles, axis=0) / np.sqrt(2)
        explained = _MEDIAN_OF_5 * _robust(np.concatenate(self.residuals)) / _robust(effects)
        self.run_effects = effects * np.sqrt(max(0.0, 1 - explained))

    def draw(self, changed: Callable[[States], States]) -> States:
        """A run of `STEPS` steps, of code that `changed` it."""
        run = self._random.integers(len(self.run_effects))
        steps = self._random.integers(len(self.residuals[run]), size=STEPS)
        drawn = self.middle + self.run_effects[run] + self.residuals[run][steps]
        return changed(np.maximum(drawn, 0))


def _robust(deviations: States) -> float:
    """The variance of the job's exposed and bubble time, from the median deviation."""
    chosen = [STATES.index(state) for state in (*EXPOSED_STATES, *BUBBLE_STATES)]
    return float(
        (1.4826 * np.median(np.abs(deviations[:, :, chosen].sum(axis=2).mean(axis=1)))) ** 2
    )


def longer(states: tuple[str, ...], factor: float) -> Callable[[States], States]:
    """These states take `factor` times as long on every rank."""
    scale = np.array([factor if state in states else 1.0 for state in STATES])
    return lambda mean: mean * scale


UNCHANGED = "unchanged"
CHANGES = {
    UNCHANGED: longer((), 1.0),
    "exposed communication +5 %": longer(EXPOSED_STATES, 1.05),
    "bubble +5 %": longer(BUBBLE_STATES, 1.05),
}


def as_snapshot(template: Measured, *runs: States) -> FigureSnapshot:
    """A snapshot as that of the template, but with these states, of one run or repeats."""
    return take_snapshot([_with_states(template, states) for states in runs])


def _with_states(template: Measured, states: States) -> Measured:
    steps = []
    for number, values in enumerate(np.rint(states).astype(int)):
        first = template.report.per_step[0]
        ranks = [
            msgspec.structs.replace(
                rank,
                states_ns=dict(zip(STATES, row.tolist(), strict=True)),
                window_ns=int(row.sum()),
                bubble_ns=_sum(row, BUBBLE_STATES),
                exposed_ns=_sum(row, EXPOSED_STATES),
            )
            for rank, row in zip(first.ranks, values, strict=True)
        ]
        window = max(rank.window_ns for rank in ranks)
        steps.append(msgspec.structs.replace(first, step=number, window_ns=window, ranks=ranks))
    report = msgspec.structs.replace(template.report, per_step=steps)
    return Measured(template.run, report)


def _sum(row: npt.NDArray[np.int64], states: tuple[str, ...]) -> int:
    return int(sum(row[STATES.index(state)] for state in states))


def failures(pairs: Iterable[tuple[FigureSnapshot, ...]], verbose: bool = True) -> tuple[int, int]:
    """How many gates of (run, baseline) fail, of how many."""
    results = [gate(run, (), Baseline(name="baseline", snapshot=base)) for run, base in pairs]
    failed = [one for one in results if not one.passed]
    broken = Counter(rule.rule for one in failed for rule in one.rules if rule.status == "failed")
    if verbose:
        print(f"  {dict(broken)}")
    return len(failed), len(results)


def calm(run: States) -> bool:
    """Whether no step was disturbed: exposed and bubble time near those of the run's median."""
    sums = [
        run[:, :, [STATES.index(state) for state in states]].sum(axis=2).mean(axis=1)
        for states in (EXPOSED_STATES, BUBBLE_STATES)
    ]
    most = max(np.abs(one - np.median(one)).max() for one in sums)
    return bool(most <= _DISTURBED * np.median(run[:, 0].sum(axis=1)))


def report_schedule(name: str, measured: list[Measured], repeats: int, far: bool) -> None:
    """Print what was measured of one schedule."""
    runs = [states_of(one.report) for one in measured]
    noise = Noise(runs, seed=0)
    spread(name, runs, noise.middle[0].sum())
    bases = [take_snapshot([one]) for one in measured]
    for what, change in CHANGES.items():
        real = [as_snapshot(measured[0], change(run)) for run in runs]
        if what == UNCHANGED:
            real = bases
        pairs = (
            (run, base)
            for i, run in enumerate(real)
            for j, base in enumerate(bases)
            if i != j and (far or abs(i - j) <= _NEAR)
        )
        row(name, f"{what}, {'all' if far else 'near'} pairs", *failures(pairs))
    for what, change in CHANGES.items():
        row(
            name,
            f"{what}, three runs a side in turn",
            *failures(in_turn(measured[0], runs, change)),
        )
    for runs_a_side, words in ((1, "drawn"), (2, "drawn, two runs a side")):
        for what, change in CHANGES.items():
            drawn = (
                tuple(
                    as_snapshot(measured[0], *(noise.draw(side) for _ in range(runs_a_side)))
                    for side in (change, CHANGES[UNCHANGED])
                )
                for _ in range(repeats)
            )
            row(name, f"{what}, {words}", *failures(drawn))


def in_turn(
    template: Measured, runs: list[States], change: Callable[[States], States]
) -> Iterator[tuple[FigureSnapshot, FigureSnapshot]]:
    """Every six runs that follow each other as A B A B A B, and as B A B A B A."""
    for first in range(len(runs) - 2 * _NEAR + 1):
        sides = (runs[first : first + 2 * _NEAR : 2], runs[first + 1 : first + 2 * _NEAR : 2])
        for run, base in (sides, sides[::-1]):
            changed = [change(one) for one in run]
            yield as_snapshot(template, *changed), as_snapshot(template, *base)


def spread(name: str, runs: list[States], step_ns: float) -> None:
    """Standard deviations of steps and of runs, of the job and of the worst rank, of the step."""
    for what, states in (("exposed", EXPOSED_STATES), ("bubble", BUBBLE_STATES)):
        chosen = [STATES.index(state) for state in states]
        sums = [run[:, :, chosen].sum(axis=2) for run in runs]  # steps, ranks
        for scope, figures in (
            ("job", [s.mean(axis=1, keepdims=True) for s in sums]),
            ("rank", sums),
        ):
            every = np.concatenate([s - np.median(s, axis=0) for s in figures])
            runs_ = np.array([np.median(s, axis=0) for s in figures])
            typical = 1.4826 * np.median(np.abs(every), axis=0)
            next_ = 1.4826 * np.median(np.abs(np.diff(runs_, axis=0)), axis=0) / np.sqrt(2)
            print(
                f"{name:9} {what:8} {scope:5} steps: sd {every.std(axis=0).max() / step_ns:7.3%}, "
                f"typical {typical.max() / step_ns:7.3%}; medians of runs: sd "
                f"{runs_.std(axis=0, ddof=1).max() / step_ns:7.3%}, from one to the next, typical "
                f"{next_.max() / step_ns:7.3%}; of the step time"
            )


def row(name: str, what: str, failed: int, total: int) -> None:
    """A line of the table in docs/gate.md."""
    print(f"| {name} | {what} | {total} | {failed} | {failed / total:.1%} |", flush=True)


def load(folder: Path) -> tuple[Run, Report]:
    """A run and its report."""
    run = load_run(folder)
    return run, analyze(run)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, help="folder of runs, kept")
    parser.add_argument("--profile", type=int, default=0, help="profile so many runs first")
    parser.add_argument("--calm", action="store_true", help="only runs with no disturbed step")
    parser.add_argument("--far", action="store_true", help="all pairs, however far apart in time")
    parser.add_argument("--repeats", type=int, default=2000, help="gates of drawn runs")
    options = parser.parse_args()
    folder = options.runs or Path(tempfile.mkdtemp())
    profile(folder, options.profile or (0 if options.runs else 8))
    for schedule in SCHEDULES:
        measured = [Measured(*load(path)) for path in sorted(folder.glob(f"*/{schedule}"))]
        measured.sort(key=lambda one: one.run.manifest.created)
        found = len(measured)
        if options.calm:
            measured = [one for one in measured if calm(states_of(one.report))]
        print(f"{schedule}: {len(measured)} of {found} runs")
        report_schedule(schedule, measured, options.repeats, options.far)


if __name__ == "__main__":
    main()
