"""What torch.profiler, as a capture sets it, adds to the steps that it records.

    python tests/benchmarks/bench_profiler.py [--model small] [--repeats 5]

One rank trains on the CPU; processor time of a step with the profiler over one without, in turns,
so that other work on the machine changes little. On a GPU `bench_gpu_wire.py` says what it adds to
a pair by the GPU's clock, and to launching.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch

from dpprof.instrument.torch_profiler import make_profiler
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.model.presets import preset
from dpprof.reference.runtime.channels import Channels, ProcessGroupWire
from dpprof.reference.runtime.lanes import make_lane
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.components import slot_program
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")


def make_runtime(model: str) -> Runtime:
    """One rank that runs overlapped pairs, experts dealt out, nothing sent."""
    config = replace(preset(model), routing="balanced", looped_ep=2, wire="stay")
    schedule, mesh = make_schedule("dualpipev", 1, 4), Mesh(1, 1, 0)
    groups = Groups(ep=None, mirror=None, edges={})
    executor = ModelExecutor(config, schedule, mesh, groups, CPU)
    lane = partial(make_lane, CPU)
    channels = Channels(schedule, mesh, ProcessGroupWire(executor.message, CPU, groups), lane)
    program = partial(slot_program, layers=executor.layers)
    return Runtime(schedule, mesh, executor, channels, lane, program)


def seconds(runtime: Runtime) -> float:
    """Processor time of a step, of all threads."""
    begun = time.process_time()
    runtime.run_step(0)
    return time.process_time() - begun


def recorded_seconds(runtime: Runtime) -> float:
    """The same under the profiler, its start and end not counted."""
    with tempfile.TemporaryDirectory() as folder:
        profiler = make_profiler(1, 2, Path(folder) / "trace.json", shapes=False)
        with profiler:
            runtime.run_step(0)
            profiler.step()
            taken = seconds(runtime)
    del profiler
    gc.collect()
    return taken


def main() -> None:
    """Measure in turns, print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    gc.disable()
    runtime = make_runtime(options.model)
    seconds(runtime)
    recorded_seconds(runtime)
    pairs = [(seconds(runtime), recorded_seconds(runtime)) for _ in range(options.repeats)]
    plain, recorded = (median(times) for times in zip(*pairs, strict=True))
    runtime.close()
    print(f"step without the profiler {plain * 1e3:9.1f} ms of processor time")
    print(f"step with it              {recorded * 1e3:9.1f} ms: {recorded / plain:.3f} times")


if __name__ == "__main__":
    main()
