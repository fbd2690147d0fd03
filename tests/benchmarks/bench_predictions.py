"""How near predictions come to runs: random configurations on the emulated device.

    python tests/benchmarks/bench_predictions.py [--first 0] [--count 40] [--lines FILE]

Each configuration draws a schedule, 2 to 8 pipeline ranks, micro-batches, stages (often uneven:
dense first layers, a head, layers shared unequally) and a fault. Its step and its memory peaks
are predicted by the simulator and run on the emulated device. With --lines, a line of JSON for
every configuration is added to FILE, and the summary is over all lines in it, so that the forty
can be run in pieces.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dpprof import cli
from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.analysis.report.analyze import analyze
from dpprof.costs import CostProfile, LayerCost, MemoryCost, costs_to_json, load_costs
from dpprof.costs.faults import read_fault
from dpprof.costs.stages import stage_memory
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.activations import peak_bytes
from dpprof.simulate.engine import simulate
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.trace.load import load_run

_FAULTS = (
    "compute@{rank}=1.{tenths}x",
    "mlp@{rank}=1.{tenths}x",
    "attention=1.{tenths}x",
    "dispatch@{rank}=1.{tenths}x",
    "combine=1.{tenths}x",
    "serial=dispatch",
    "sync@{rank}={tenths}ms",
    "message=1.{tenths}x",
)


@dataclass(frozen=True)
class _Configuration:
    schedule: Schedule
    costs: CostProfile
    fault: str


def _drawn(seed: int) -> _Configuration:
    """The configuration of a number; sizes that a schedule cannot have are drawn again."""
    chance = random.Random(seed)
    while True:
        pp, more = chance.randint(2, 8), chance.uniform(1, 2.5)
        try:
            schedule = make_schedule(chance.choice(schedule_names()), pp, round(pp * more))
        except DpprofError:
            continue
        costs = _costs(chance, schedule.placement.stage_count)
        rank, tenths = chance.randrange(pp), chance.randint(1, 6)
        faults = [text.format(rank=rank, tenths=tenths) for text in _FAULTS]
        return _Configuration(schedule, costs, chance.choice([*faults, "", "", ""]))


def _costs(chance: random.Random, stages: int) -> CostProfile:
    plain = msgspec.structs.replace(
        load_costs("deepseek-v3"),
        layers=1,
        memory=MemoryCost(
            parameter_bytes=2**27,
            gradient_bytes=2**28,
            optimizer_bytes=2**28,
            activation_bytes=chance.randint(2**22, 2**25),
        ),
    )
    if chance.random() < 0.3:
        return plain
    cut = [chance.choice([1, 1, 1, 2]) for _ in range(stages)]
    layers = [_layer(chance) if chance.random() < 0.4 else LayerCost() for _ in range(sum(cut))]
    return msgspec.structs.replace(plain, name="drawn", model=layers, stage_layers=cut)


def _layer(chance: random.Random) -> LayerCost:
    """A dense layer, one with a head, or one whose experts got more or less than their share."""
    kind = chance.randrange(3)
    if kind == 0:
        dense = {part: {"dispatch": 0, "combine": 0} for part in ("F", "I")}
        return LayerCost(component_ns=dense)
    if kind == 1:
        head = {part: {"output": chance.randint(2, 9) * 10**6} for part in ("F", "I", "W")}
        return LayerCost(
            component_ns=head, memory=MemoryCost(parameter_bytes=2**28, activation_bytes=2**25)
        )
    times = chance.uniform(0.7, 1.5)
    mlp = load_costs("deepseek-v3").component_ns
    return LayerCost(
        component_ns={part: {"mlp": round(own["mlp"] * times)} for part, own in mlp.items()}
    )


def ran(schedule: Schedule, costs: CostProfile, fault: str, folder: Path) -> Run:
    """A run of three steps on the emulated device, with a fault or none."""
    profile = folder / "costs.json"
    profile.write_text(costs_to_json(costs))
    sizes = ["--pp", str(schedule.pp), "--micro-batches", str(schedule.micro_batches)]
    line = ["profile", "--device", "emulated", "--schedule", schedule.name, *sizes]
    line += ["--costs", str(profile), "--num-steps", "3", "--warmup", "1", "-o", str(folder)]
    if fault:
        line += ["--inject", fault]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        if cli.run(line) != 0:
            raise SystemExit(f"profiling failed: {' '.join(line)}\n{said.getvalue()}")
    return load_run(folder / schedule.name)


def compare(seed: int) -> dict[str, object]:
    """Predict and run a configuration; errors are shares of what was measured."""
    drawn = _drawn(seed)
    schedule = drawn.schedule
    faults = [read_fault(drawn.fault, schedule.pp)] if drawn.fault else []
    step = simulate(schedule, schedule_timing(schedule, drawn.costs, faults=faults)).makespan_ns
    peaks = peak_bytes(schedule, stage_memory(drawn.costs, schedule.placement.stage_count))
    with tempfile.TemporaryDirectory() as folder:
        run = ran(schedule, drawn.costs, drawn.fault, Path(folder))
        report = analyze(run)
        own = costs_from_run(run)
    measured = statistics.median(one.window_ns for one in report.per_step)
    held = {one.pp_rank: one.memory.peak_allocated_bytes or 0 for one in report.ranks}
    again = simulate(schedule, schedule_timing(schedule, own)).makespan_ns
    return {
        "seed": seed,
        "schedule": schedule.name,
        "pp": schedule.pp,
        "micro_batches": schedule.micro_batches,
        "uneven": bool(drawn.costs.model),
        "fault": drawn.fault,
        "step_ms": round(measured / 1e6, 2),
        "step_error": step / measured - 1,
        "own_costs_error": again / measured - 1,
        "memory_error": max(abs(peak / held[rank] - 1) for rank, peak in enumerate(peaks)),
    }


def _summary(lines: list[dict[str, float]]) -> str:
    words = [f"{len(lines)} configurations"]
    for key in ("step_error", "own_costs_error", "memory_error"):
        errors = sorted(abs(line[key]) for line in lines)
        words.append(f"{key}: median {statistics.median(errors):.3%}, worst {errors[-1]:.3%}")
    return "; ".join(words)


def main() -> None:
    """Compare the configurations, a line each, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--lines", type=Path)
    options = parser.parse_args()
    lines = []
    for seed in range(options.first, options.first + options.count):
        lines.append(compare(seed))
        print(json.dumps(lines[-1]), flush=True)
        if options.lines is not None:
            with options.lines.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    if options.lines is not None:
        lines = [json.loads(line) for line in options.lines.read_text().splitlines()]
    print(_summary(lines))


if __name__ == "__main__":
    main()
