"""What it costs that pipeline ranks share a GPU: how much longer the same components take.

    python tests/benchmarks/bench_gpu_share.py [--model small] [--device cuda]

Profiles 1F1B on one rank alone, then on two ranks of as many layers each, which share the GPU (on a
CPU: two processes). Prints, for each component, the median length in the shared run over that
alone: 1 means no contention, 2 that two ranks take turns all the time. ``--json FILE`` writes them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd

import dpprof
from dpprof import cli
from dpprof.tables.columns import COMPONENT, END, LAYER, PART, RANK, SLOT, START, STEP

COMPUTING = ("attention", "mlp")


def lengths(run: Path) -> pd.Series:
    """Median nanoseconds from a component's first to its last activity, by component and part."""
    loaded = dpprof.load(run)
    events = loaded.events
    events = events[events[COMPONENT].isin(COMPUTING) & events[STEP].isin(loaded.used_steps)]
    keys = [RANK, STEP, SLOT, PART, COMPONENT, LAYER]
    spans = events.groupby(keys, observed=True).agg({START: "min", END: "max"})
    return (spans[END] - spans[START]).groupby([COMPONENT, PART], observed=True).median()


def profile(folder: Path, options: argparse.Namespace, pp: int) -> Path:
    """Run `pp` ranks of `options.layers` layers each."""
    arguments = ["profile", "--schedule", "1f1b", "--device", options.device, "--pp", str(pp)]
    arguments += ["--layers", str(pp * options.layers), "--model", options.model]
    arguments += ["--micro-batches", "8", "-o", str(folder)]
    for size in options.sizes:
        arguments += ["--set", size]
    if pp > 1 and options.device == "cuda":
        arguments.append("--share-gpus")
    if cli.run(arguments) != 0:
        raise SystemExit("profiling failed")
    return folder / "1f1b"


def main() -> None:
    """Profile alone and shared; print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="sizes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        alone = lengths(profile(Path(scratch) / "alone", options, 1))
        shared = lengths(profile(Path(scratch) / "shared", options, 2))
    ratios = {f"{name} {part}": value for (name, part), value in (shared / alone).items()}
    for name, value in ratios.items():
        print(f"{name:20} {value:.2f}")
    if options.json:
        options.json.write_text(json.dumps(ratios, indent=1) + "\n")


if __name__ == "__main__":
    main()
