"""Times the simulator: two sizes, and how its cost grows with the number of operations.

Usage: ``python tests/benchmarks/bench_simulator.py``. Simulating means the slot engine alone; a
run adds all tables. The ratio is taken within one process, best of three each.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dpprof.costs.load import load_costs
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import simulated_run
from dpprof.simulate.timing import timing_from_profile

SIZES = ((16, 128), (64, 1024))
SMALL, LARGE = (16, 320), (16, 3200)  # ten times the operations


def seconds(work: Callable[[], object]) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def slots_of(schedule: Schedule) -> int:
    """Number of slots of all ranks."""
    return sum(len(slots) for slots in schedule.ranks)


def main() -> None:
    """Print the figures."""
    for costs in ("unit", "unit-components"):
        profile = load_costs(costs)
        timing = timing_from_profile(profile)
        for pp, micro_batches in SIZES:
            made = seconds(lambda size=(pp, micro_batches): make_schedule("dualpipe", *size))
            schedule = make_schedule("dualpipe", pp, micro_batches)
            step = seconds(lambda one=schedule, timing=timing: simulate(one, timing))
            run = seconds(lambda one=schedule, profile=profile: simulated_run(one, profile))
            print(
                f"dualpipe {costs}, {pp} ranks, {micro_batches} micro-batches: "
                f"schedule {made:.3f} s, simulate {step:.3f} s, whole run {run:.3f} s"
            )
        small, large = (make_schedule("dualpipe", *size) for size in (SMALL, LARGE))
        ratio = seconds(lambda one=large, timing=timing: simulate(one, timing)) / seconds(
            lambda one=small, timing=timing: simulate(one, timing)
        )
        operations = slots_of(large) / slots_of(small)
        print(f"{costs}: {operations:.1f} times the slots take {ratio:.1f} times as long")


if __name__ == "__main__":
    main()
