"""Overlapped pairs against forward-then-backward, in one run of one GPU.

    python tests/benchmarks/bench_gpu_pair.py [--model deepseek-v3-layer] [--device cuda] [-o DIR]

Profiles DualPipeV (all its steady phase are overlapped pairs) and 1F1B (forward, then backward)
with one pipeline rank and the same layers. Prints: the share of the pairs' all-to-all that lies
under computing, the two pairs that make up a forward and backward of all layers over 1F1B's
forward and backward, bubbles of a late host as a share of the step, and what a pipeline of 16
ranks would take. ``--json FILE`` writes them.

The spans of kernels do not say what an exchange costs the computing beside it, which grows longer
and hides more: for that `bench_gpu_wire.py` measures whole pairs without a profiler.
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
from dpprof.tables.columns import END, KIND, OPERATION, SLOT, START, STEP
from dpprof.tables.intervals import (
    Intervals,
    clip,
    intersection_length,
    make_intervals,
    total_length,
    union,
)

EXCHANGES = ("dispatch", "combine")
PAIR = "F&B"


def measure(folder: Path) -> dict[str, Any]:
    """The figures of the two runs in `folder`."""
    pairs, plain = (dpprof.load(folder / name) for name in ("dualpipev", "1f1b"))
    total = pairs.report().total
    return {
        "device": pairs.report().device,
        "step_ms": (pairs.report().step_ns or 0) / 1e6,
        "span_hidden_share": _span_hidden_share(pairs),
        "pairs_over_forward_then_backward": _both_pairs(pairs) / _forward_backward(plain),
        "hidden_share_of_forward_then_backward": plain.report().total.hidden_share,
        "host_late_share": total.states_ns["bubble.host"] / total.window_ns,
        "dualpipe_pp16_step_ms": _pipeline_ms(folder / "dualpipev"),
    }


def _span_hidden_share(run: dpprof.LoadedRun) -> float | None:
    """The share of the all-to-all in the used steps' pairs that lies under computing."""
    compute, exchange = _intervals(run, ("compute",)), _intervals(run, EXCHANGES)
    slots = _used(run)
    moved = hidden = 0
    for start, end in slots.loc[slots[OPERATION] == PAIR, [START, END]].to_numpy():
        own_exchange = clip(exchange, start, end)
        moved += total_length(own_exchange)
        hidden += intersection_length(clip(compute, start, end), own_exchange)
    return hidden / moved if moved else None


def _intervals(run: dpprof.LoadedRun, kinds: tuple[str, ...]) -> Intervals:
    rows = run.events[run.events[KIND].isin(kinds)]
    return union(make_intervals(rows[START], rows[END]))


def _used(run: dpprof.LoadedRun) -> pd.DataFrame:
    return run.slots[run.slots[STEP].isin(run.used_steps)]


def _both_pairs(run: dpprof.LoadedRun) -> float:
    """Median of the pairs with a forward of direction 0, and of those with one of 1, added."""
    slots = _used(run)
    slots = slots[slots[OPERATION] == PAIR]
    length = slots[END] - slots[START]
    direction = slots[SLOT].astype(str).str[1]
    return float(length.groupby(direction).median().sum())


def _forward_backward(run: dpprof.LoadedRun) -> float:
    slots = _used(run)
    length = slots[END] - slots[START]
    return float(length.groupby(slots[OPERATION].astype(str)).median()[["F", "B"]].sum())


def _pipeline_ms(run: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        arguments = ["simulate", "dualpipe", "--pp", "16", "--micro-batches", "64"]
        arguments += ["--costs", str(run), "--format", "json", "-o", str(file)]
        if cli.run(arguments) != 0:
            raise SystemExit("simulating failed")
        return float(json.loads(file.read_text())["step_ns"]) / 1e6


def main() -> None:
    """Profile, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="deepseek-v3-layer")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--micro-batches", default="8")
    parser.add_argument("--layers", default="8")
    parser.add_argument("--steps", default="3")
    parser.add_argument("--set", action="append", default=[], dest="sizes")
    parser.add_argument("--json", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.output or Path(scratch) / "runs"
        arguments = ["profile", "--device", options.device, "--pp", "1", "--force"]
        arguments += ["--num-steps", options.steps]
        arguments += ["--model", options.model, "--layers", options.layers, "-o", str(folder)]
        arguments += ["--micro-batches", options.micro_batches]
        for size in options.sizes:
            arguments += ["--set", size]
        if cli.run(arguments) != 0:
            raise SystemExit("profiling failed")
        figures = measure(folder)
    for name, value in figures.items():
        print(f"{name:40} {value:.4f}" if isinstance(value, float) else f"{name:40} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
