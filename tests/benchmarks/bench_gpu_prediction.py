"""Costs measured under one schedule predict another, which is then run: by how much are they off?

    python tests/benchmarks/bench_gpu_prediction.py [--device cuda] [--pp 1] [--json FILE]

Profiles 1F1B, takes its components' times for costs, and simulates DualPipeV (PP 1) or DualPipe
with them; then runs it. The model is the same in both: what 1F1B has in one stage of a rank,
DualPipeV has in two, and the output layer in the last of them alone.
Prints the predicted time over the measured one, less one, from a step's first slot to its last, and
the same for the median of each component. What lies outside the slots (the optimizer) no schedule
predicts. On the emulated device the costs of the second run are modelled too, so what differs is
the way there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

import dpprof
from dpprof import cli
from dpprof.tables.columns import COMPONENT, END, LAYER, PART, RANK, SLOT, START, STEP


def profile(folder: Path, schedule: str, options: argparse.Namespace) -> Path:
    """Run a schedule; gives its folder."""
    arguments = ["profile", "--schedule", schedule, "--device", options.device]
    arguments += ["--pp", str(options.pp), "--micro-batches", str(options.micro_batches)]
    if options.device != "emulated":
        arguments += ["--model", options.model, "--layers", str(options.layers)]
    for size in options.sizes:
        arguments += ["--set", size]
    if cli.run([*arguments, "-o", str(folder)]) != 0:
        raise SystemExit("profiling failed")
    return folder / schedule


def predict(costs: Path, schedule: str, options: argparse.Namespace) -> float:
    """Nanoseconds of a step of `schedule` with the costs of a run."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        arguments = ["simulate", schedule, "--pp", str(options.pp), "--costs", str(costs)]
        arguments += ["--micro-batches", str(options.micro_batches), "--format", "json"]
        if cli.run([*arguments, "-o", str(file)]) != 0:
            raise SystemExit("simulating failed")
        return float(json.loads(file.read_text())["step_ns"])


def components(run: Path) -> pd.Series:
    """Median nanoseconds of each component, from its first to its last activity."""
    loaded = dpprof.load(run)
    events = loaded.events
    events = events[(events[COMPONENT].astype(str) != "") & events[STEP].isin(loaded.used_steps)]
    keys = [RANK, STEP, SLOT, PART, COMPONENT, LAYER]
    spans = events.groupby(keys, observed=True).agg({START: "min", END: "max"})
    return (spans[END] - spans[START]).groupby([COMPONENT, PART], observed=True).median()


def slots_ns(run: Path) -> float:
    """Median nanoseconds of the used steps, from the first slot's work to the last's."""
    loaded = dpprof.load(run)
    events = loaded.events
    events = events[(events[SLOT].astype(str) != "") & events[STEP].isin(loaded.used_steps)]
    spans = events.groupby(STEP, observed=True).agg({START: "min", END: "max"})
    return float((spans[END] - spans[START]).median())


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Errors of the prediction, as shares of what was measured."""
    schedule = "dualpipev" if options.pp == 1 else "dualpipe"
    source = profile(folder / "costs", "1f1b", options)
    predicted = predict(source, schedule, options)
    run = profile(folder / "run", schedule, options)
    measured = slots_ns(run)
    ratios = (components(source) / components(run)).dropna()
    return {
        "predicted_ms": predicted / 1e6,
        "measured_ms": measured / 1e6,
        "slots_error": predicted / measured - 1,
        **{f"{name} {part} error": value - 1 for (name, part), value in ratios.items()},
    }


def main() -> None:
    """Run, simulate, run again, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="deepseek-v3-layer")
    parser.add_argument("--pp", type=int, default=1)
    parser.add_argument("--layers", type=int, default=8, help="of the whole model")
    parser.add_argument("--micro-batches", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], dest="sizes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(options, Path(scratch))
    for name, value in figures.items():
        print(f"{name:30} {value:.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
