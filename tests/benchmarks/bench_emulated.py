"""How near the emulated device comes to the simulator: step time and per-rank bubbles.

    python tests/benchmarks/bench_emulated.py [--schedule dualpipe] [--pp 8] [--micro-batches 20]

Prints, for every measured step, the step's length over the simulated one, and the largest
difference of any rank's bubble as a share of the step. Both runs are analyzed by the same code.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dpprof import cli
from dpprof.analysis.report.analyze import analyze
from dpprof.costs import load_costs
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run
from dpprof.trace.load import load_run


def _bubble(states: dict[str, int]) -> int:
    return sum(ns for state, ns in states.items() if state.startswith("bubble."))


def main() -> None:
    """Profile on the emulated device, simulate, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedule", default="dualpipe")
    parser.add_argument("--pp", type=int, default=8)
    parser.add_argument("--micro-batches", type=int, default=20)
    parser.add_argument("--costs", default="unit")
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    schedule = make_schedule(options.schedule, options.pp, options.micro_batches)
    simulated = analyze(simulated_run(schedule, load_costs(options.costs)))
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["profile", "--device", "emulated", "--schedule", options.schedule]
        arguments += ["--pp", str(options.pp), "--micro-batches", str(options.micro_batches)]
        arguments += ["--costs", options.costs, "--num-steps", str(options.steps), "-o", folder]
        if cli.run(arguments) != 0:
            raise SystemExit("profiling failed")
        path = Path(folder) / options.schedule
        steps = load_run(path).used_steps
        for step in steps:
            emulated = analyze(load_run(path, steps=str(step)))
            worst = max(
                abs(_bubble(one.states_ns) - _bubble(other.states_ns)) / simulated.window_ns
                for one, other in zip(emulated.ranks, simulated.ranks, strict=True)
            )
            ratio = emulated.window_ns / simulated.window_ns
            print(f"step {step}: length {ratio - 1:+.2%} of simulated, worst bubble {worst:.2%}")


if __name__ == "__main__":
    main()
