"""What labels cost: their time in a training step of the reference model, as a share of the step.

    python tests/benchmarks/bench_labels.py [--model small]

One rank trains under a capture, all in one process. The cost of one label, timed in a loop on the
profiled thread and on a side thread, times the number of labels of each sort that a step made,
over the step's own length in the same run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

import dpprof
from dpprof import cli

REPEATS = 20_000
TEXT = {"slot": "F0.3", "action": "F0.3", "part": "F", "component": "attention", "layer": 1}


def _label_ns() -> float:
    """Median time of one label on the calling thread."""
    times = []
    for _ in range(20):
        start = time.perf_counter_ns()
        for _ in range(REPEATS // 20):
            with dpprof.label("compute", **TEXT):
                pass
        times.append((time.perf_counter_ns() - start) / (REPEATS // 20))
    return statistics.median(times)


def _label_costs() -> tuple[float, float]:
    """Cost of a label on the profiled thread and on another, nanoseconds."""
    side: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        dpprof.capture(Path(folder) / "run", warmup=1, steps=1) as capture,
    ):
        capture.step()
        main = _label_ns()
        thread = threading.Thread(target=lambda: side.append(_label_ns()))
        thread.start()
        thread.join()
        capture.step()
    return main, side[0]


def _labels_and_step(model: str) -> tuple[int, int, float]:
    """Labels a step on the main and on side threads, and the length of a step in nanoseconds."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (
            "profile --device cpu --pp 1 --schedule gpipe --micro-batches 4 --num-steps 5 "
            f"-o {folder}"
        )
        if cli.run([*arguments.split(), "--model", model]) != 0:
            raise SystemExit("profiling failed")
        trace = json.loads(gzip.decompress((Path(folder) / "gpipe" / "rank0.json.gz").read_bytes()))
    events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
    steps = [event for event in events if event["name"].startswith("ProfilerStep")]
    labels = [event for event in events if event["name"].startswith("dpprof:")]
    main = sum(event["tid"] == steps[0]["tid"] for event in labels)
    length_ns = statistics.median(event["dur"] for event in steps) * 1e3
    return main // len(steps), (len(labels) - main) // len(steps), length_ns


def main() -> None:
    """Print the cost of labels and their share of a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small")
    model = parser.parse_args().model
    main_ns, side_ns = _label_costs()
    main_count, side_count, step_ns = _labels_and_step(model)
    share = (main_count * main_ns + side_count * side_ns) / step_ns
    print(f"label: {main_ns:.0f} ns on the profiled thread, {side_ns:.0f} ns on another")
    print(f"step of {model}: {step_ns / 1e6:.2f} ms, {main_count} + {side_count} labels")
    print(f"labels take {share:.3%} of the step")


if __name__ == "__main__":
    main()
