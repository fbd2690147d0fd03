"""What findings promise against what is gained: faults planted and removed on the emulated device.

    python tests/benchmarks/bench_findings.py [--only TEXT]

For every fault two runs are made, with it and without, on four ranks. Printed are the gain that
the finding promises, the one that was measured, and their difference as a share of the step.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
from bench_predictions import ran
from planted_host_faults import PLANTS, profile

from dpprof.analysis.report.analyze import analyze
from dpprof.costs import costs_to_json, load_costs
from dpprof.findings.find import find_findings
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.trace.load import load_run

_PP, _MICRO_BATCHES = 4, 10
_PLAIN = msgspec.structs.replace(load_costs("deepseek-v3"), layers=2)
_UNEVEN = msgspec.structs.replace(_PLAIN, stage_layers=[1, 2, 4, 1])
_EVEN = msgspec.structs.replace(_PLAIN, stage_layers=[2, 2, 2, 2])


@dataclass(frozen=True)
class _Case:
    """What is run, what it is run without, and the finding that ought to promise the difference."""

    what: str
    fault: str
    without: str = ""
    schedule: str = "1f1b"
    other: str = ""
    uneven: bool = False

    @property
    def name(self) -> str:
        planted = self.fault or ("uneven" if self.uneven else self.other)
        return f"{self.schedule} {self.what} {planted}"


_FAULTS = (
    ("slow rank", "compute@1=1.3x"),
    ("slow rank", "attention@2=1.5x"),
    ("slow rank", "mlp@0=1.4x"),
    ("slow rank", "dispatch@2=1.6x"),
    ("slow rank", "combine@3=1.5x"),
    ("gaps in slots", "sync@1=8ms"),
    ("gaps in slots", "sync=5ms"),
    ("lost overlap", "serial=dispatch"),
    ("lost overlap", "serial=combine"),
)
_CASES = (
    *(
        _Case(what, fault, schedule=name)
        for name in ("1f1b", "dualpipe")
        for what, fault in _FAULTS
    ),
    *(_Case("messages", "message=5x", "message=0.001x", name) for name in ("1f1b", "dualpipe")),
    _Case("exposed combine", "combine=1x", "combine=0.001x", "dualpipe"),
    _Case("lost overlap", "serial@2=dispatch", schedule="dualpipe"),
    _Case("slow rank", "compute@1=1.3x", schedule="zbv"),
    _Case("lost overlap", "serial@1=dispatch", schedule="hanayo"),
    _Case("slow rank", "mlp@2=1.5x", schedule="dualpipev"),
    _Case("uneven stages", "", uneven=True),
    _Case("schedule", "", other="zb1p"),
    *(_Case("long slots", "collection", schedule=name) for name in ("1f1b", "dualpipe")),
    *(_Case("between steps", "loader", schedule=name) for name in ("1f1b", "dualpipe")),
    *(_Case("slow edge", "one-way", schedule=name) for name in ("1f1b", "dualpipe")),
)


@lru_cache(maxsize=64)
def _step(
    schedule: str, fault: str, uneven: bool | None
) -> tuple[int, tuple[tuple[str, int], ...]]:
    """A run's step in ns, and its findings' names and gains."""
    costs = {None: _PLAIN, True: _UNEVEN, False: _EVEN}[uneven]
    with tempfile.TemporaryDirectory() as folder:
        if fault in PLANTS:
            run = _ran_planted(schedule, fault, Path(folder))
        else:
            run = ran(make_schedule(schedule, _PP, _MICRO_BATCHES), costs, fault, Path(folder))
        report = analyze(run)
        found = find_findings(run, report)
    if found.reason:
        print(f"{schedule} {fault}: {found.reason}")
    return report.step_ns or 0, tuple((one.what, one.gain_ns) for one in found.findings)


def _ran_planted(schedule: str, plant: str, folder: Path) -> Run:
    costs = folder / "costs.json"
    costs.write_text(costs_to_json(_PLAIN))
    sizes = ["--pp", str(_PP), "--micro-batches", str(_MICRO_BATCHES)]
    line = ["--device", "emulated", "--schedule", schedule, *sizes, "--costs", str(costs)]
    profile([*line, "--num-steps", "3", "--warmup", "1", "-o", str(folder)], plant, folder)
    return load_run(folder / schedule)


def main() -> None:
    """Run the cases, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    for case in _CASES:
        if options.only not in case.name:
            continue
        ill, found = _step(case.schedule, case.fault, True if case.uneven else None)
        well, _ = _step(case.other or case.schedule, case.without, False if case.uneven else None)
        promised = max((gain for what, gain in found if what == case.what), default=0)
        off = (promised - (ill - well)) / ill
        print(
            f"{case.name}: {case.what} promises {promised / 1e6:.2f} ms, measured "
            f"{(ill - well) / 1e6:.2f} ms of {ill / 1e6:.2f}: off by {off:+.2%}; "
            f"all: {', '.join(f'{what} {gain / 1e6:.1f}' for what, gain in found)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
