"""False alarms and power of the gate's default rules on captured runs, with assumed noise.

    python tests/benchmarks/bench_gate_captured.py [--repeats N]

Draws runs of four ranks whose step is 25 % exposed communication and 12 % bubble. All times of a
run are off by one common factor (the run's spread), those of a step by another (the steps'
spread), and exposed and bubble time of every rank by one more of the same size.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.analysis.metrics import COMPUTING
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.snapshot import FigureSnapshot, RankColumn, RankSeat, RunIdentity
from dpprof.statistics.figure import Figure, figure_of

RANKS = 4
STEP_NS = 1e9
SHARES = {"exposed_ns": 0.25, "bubble_ns": 0.12, COMPUTING: 0.63}
UNCHANGED: dict[str, float] = {}
Times = npt.NDArray[np.float64]  # (steps, ranks), nanoseconds


@dataclass(frozen=True)
class Noise:
    """Standard deviations as parts of the mean, and the lag-1 correlation of steps."""

    runs: int = 1
    steps: int = 5
    run_sd: float = 0.005
    step_sd: float = 0.01
    correlation: float = 0.0


def draw_run(
    noise: Noise, changes: dict[str, float], random: np.random.Generator
) -> dict[str, Times]:
    """What a run measures, by figure."""
    steps = random.normal(size=noise.steps)
    for i in range(1, noise.steps):
        fresh = np.sqrt(1 - noise.correlation**2) * steps[i]
        steps[i] = noise.correlation * steps[i - 1] + fresh
    common = 1 + random.normal() * noise.run_sd + noise.step_sd * steps
    times = {}
    for name, share in SHARES.items():
        own_sd = noise.step_sd / (3 if name == COMPUTING else 1)
        own = 1 + random.normal(size=(noise.steps, RANKS)) * own_sd
        times[name] = STEP_NS * share * changes.get(name, 1.0) * common[:, None] * own
    return times


def draw(noise: Noise, changes: dict[str, float], random: np.random.Generator) -> FigureSnapshot:
    """A snapshot of so many runs."""
    runs = [draw_run(noise, changes, random) for _ in range(noise.runs)]
    job = {name: _figure([run[name].mean(axis=1) for run in runs]) for name in SHARES}
    job["step_ns"] = _figure([sum(run.values()).mean(axis=1) for run in runs])  # type: ignore[union-attr]
    ranks = {
        name: _column([_figure([run[name][:, rank] for run in runs]) for rank in range(RANKS)])
        for name in SHARES
    }
    return FigureSnapshot(
        dpprof="",
        runs=["drawn"] * noise.runs,
        steps=[noise.steps] * noise.runs,
        identity=RunIdentity(source="captured", world_size=RANKS, ranks=list(range(RANKS))),
        places=[RankSeat(rank=rank, pp_rank=rank, stages=[rank]) for rank in range(RANKS)],
        job=job,
        ranks=ranks,
    )


def _figure(runs: list[npt.NDArray[np.float64]]) -> Figure:
    return figure_of([np.rint(run).astype(int).tolist() for run in runs], "ns")


def _column(figures: list[Figure]) -> RankColumn:
    return RankColumn(
        mean=[one.mean for one in figures],
        middle=[one.middle for one in figures],
        step_sd=[one.step_sd for one in figures],
        run_sd=[one.run_sd for one in figures],
    )


def failing(noise: Noise, changes: dict[str, float], repeats: int) -> float:
    """The part of the gates that fail."""
    random = np.random.default_rng(0)
    failed = 0
    for _ in range(repeats):
        base = Baseline(name="baseline", snapshot=draw(noise, UNCHANGED, random))
        failed += not gate(draw(noise, changes, random), (), base).passed
    return failed / repeats


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400, help="gates of each kind")
    repeats = parser.parse_args().repeats
    print("| runs a side | steps | false alarms | exposed +5 % | exposed +10 % | bubble +10 % |")
    changes = [UNCHANGED, {"exposed_ns": 1.05}, {"exposed_ns": 1.1}, {"bubble_ns": 1.1}]
    for runs, steps in ((1, 5), (1, 20), (2, 5), (3, 5), (4, 5), (6, 5)):
        found = [failing(Noise(runs, steps), change, repeats) for change in changes]
        print(f"| {runs} | {steps} | {' | '.join(f'{one:.1%}' for one in found)} |", flush=True)
    for what, noise in {
        "runs vary by 1 %": Noise(run_sd=0.01),
        "runs vary by 1 %, three a side": Noise(runs=3, run_sd=0.01),
        "runs vary by 2 %": Noise(run_sd=0.02),
        "runs vary by 2 %, three a side": Noise(runs=3, run_sd=0.02),
        "20 steps of sd 2 %, correlation 0.9": Noise(
            steps=20, run_sd=0.0, step_sd=0.02, correlation=0.9
        ),
    }.items():
        print(f"| {what}: false alarms | {failing(noise, UNCHANGED, repeats):.1%} |", flush=True)


if __name__ == "__main__":
    main()
