"""What findings promise against what is gained, in simulated steps: random schedules and faults.

    python tests/benchmarks/bench_findings_simulated.py [--first 0] [--count 400]

Each seed draws a schedule, 3 to 8 pipeline ranks, micro-batches, stages (even or not) and one of
thirteen kinds of fault. The step is simulated with the fault and without; the gain that the
finding promises is compared with the difference, as a share of the step. A seed whose sizes the
schedule cannot have, or whose fault costs less than what findings are made for, is left out.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass

import msgspec

from dpprof.analysis.report.analyze import analyze
from dpprof.costs import CostProfile, LayerCost, load_costs
from dpprof.costs.faults import read_fault
from dpprof.errors import DpprofError
from dpprof.findings.find import find_findings
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.engine import SimulatedStep, simulate
from dpprof.simulate.run import run_of_step
from dpprof.simulate.stage_timing import schedule_timing

_MOST_OFF = 0.02
_LEAST_GAIN = 0.005
"""Of the step: what gains less is no finding."""


@dataclass(frozen=True)
class _Drawn:
    """What is planted where, and what it is gained against; `finding` may be any of its words."""

    schedule: Schedule
    costs: CostProfile
    fault: str
    without: str
    finding: tuple[str, ...]
    ranks: tuple[int, ...]

    def step(self, fault: str) -> SimulatedStep:
        """The step with a fault, or with none."""
        faults = [read_fault(fault, self.schedule.pp)] if fault else []
        return simulate(self.schedule, schedule_timing(self.schedule, self.costs, faults=faults))


def _drawn(seed: int) -> _Drawn | None:
    """What a seed draws; None where the schedule cannot have the sizes."""
    chance = random.Random(seed)
    pp = chance.choice([3, 4, 4, 6, 8])
    try:
        schedule = make_schedule(
            chance.choice(schedule_names()), pp, round(pp * chance.uniform(1, 2.6))
        )
    except DpprofError:
        return None
    fault, without, finding, ranks = _fault(chance, pp)
    return _Drawn(
        schedule,
        _costs(chance, schedule.placement.stage_count),
        fault,
        without,
        tuple(finding.split("|")),
        ranks,
    )


def _fault(chance: random.Random, pp: int) -> tuple[str, str, str, tuple[int, ...]]:
    """A fault, what takes it out, the finding that names it, and of which ranks."""
    rank, times, ms = chance.randrange(pp), chance.choice([1.15, 1.3, 1.5, 2.0]), 0
    ms = chance.choice([2, 5, 10])
    slower = [
        (f"{part}@{rank}={times}x", "", "slow rank", (rank,))
        for part in ("compute", "attention", "mlp", "dispatch", "combine")
    ]
    wire = [
        (f"{part}={chance.choice([1, 1.5, 2])}x", f"{part}=0.0001x", f"exposed {part}", ())
        for part in ("dispatch", "combine")
    ]
    everywhere: list[tuple[str, str, str, tuple[int, ...]]] = [
        (f"sync@{rank}={ms}ms", "", "gaps in slots", (rank,)),
        (f"sync={ms}ms", "", "gaps in slots", ()),
        ("serial=dispatch", "", "lost overlap", ()),
        ("serial=combine", "", "lost overlap", ()),
        (f"serial@{rank}=dispatch", "", "lost overlap|slow rank", (rank,)),
        (f"message={chance.choice([3, 10, 30])}x", "message=0.001x", "messages", ()),
    ]
    return chance.choice([*slower, *wire, *everywhere])


def _costs(chance: random.Random, stages: int) -> CostProfile:
    costs = msgspec.structs.replace(load_costs("deepseek-v3"), layers=chance.choice([1, 2, 3]))
    if chance.random() < 0.6:
        return costs
    cut = [chance.choice([1, 2, 2, 3]) for _ in range(stages)]
    return msgspec.structs.replace(costs, stage_layers=cut, model=[LayerCost()] * sum(cut))


def compare(drawn: _Drawn) -> tuple[float, float, str]:
    """The promised and the true gain, as shares of the step, and why nothing was promised."""
    ill = drawn.step(drawn.fault)
    truth = ill.makespan_ns - drawn.step(drawn.without).makespan_ns
    run = run_of_step(ill, drawn.costs)
    got = find_findings(run, analyze(run))
    promised = max(
        (
            one.gain_ns
            for one in got.findings
            if one.what in drawn.finding
            and (not drawn.ranks or tuple(one.ranks) in ((), drawn.ranks))
        ),
        default=0,
    )
    return promised / ill.makespan_ns, truth / ill.makespan_ns, got.reason or ""


def main() -> None:
    """A line for each seed that is off, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    offs = []
    for seed in range(options.first, options.first + options.count):
        drawn = _drawn(seed)
        if drawn is None:
            continue
        promised, truth, reason = compare(drawn)
        if truth < _LEAST_GAIN and not promised:
            continue
        offs.append(abs(promised - truth))
        if offs[-1] > _MOST_OFF:
            schedule = drawn.schedule
            print(
                f"seed {seed}: {schedule.name}, PP {schedule.pp}, {schedule.micro_batches} "
                f"micro-batches, {drawn.fault}: promised {promised:.2%}, "
                f"gained {truth:.2%} {reason}",
                flush=True,
            )
    good = sum(off <= _MOST_OFF for off in offs)
    print(f"{good} of {len(offs)} within {_MOST_OFF:.0%} of the step; worst {max(offs):.3%}")


if __name__ == "__main__":
    main()
