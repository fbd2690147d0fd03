"""Snapshots made by hand, and simulated runs with planted faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.faults import read_fault, with_faults
from dpprof.costs.load import load_costs
from dpprof.gate.measure import Measured
from dpprof.gate.snapshot import FigureSnapshot, RankColumn, RankSeat, RunIdentity
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.run import run_of_step
from dpprof.simulate.timing import Timing, timing_from_profile
from dpprof.statistics.figure import Figure

MS = 10**6


def build_snapshot(
    job: Mapping[str, Any] = {},
    ranks: Mapping[str, Sequence[Any]] = {},
    *,
    steps: Sequence[int] = (5,),
    source: str = "emulated",
    **more: Any,
) -> FigureSnapshot:
    """Figures as numbers or `Figure`; a step of 1000 ms unless `job` says."""
    count = max([1, *(len(values) for values in ranks.values())])
    figures = {"step_ns": 1000 * MS, "ranks": count, **job}
    columns = {name: [_figure(value) for value in values] for name, values in ranks.items()}
    identity = {
        "source": source,
        "schedule": "dualpipe",
        "pp": count,
        "world_size": count,
        "ranks": list(range(count)),
        **more.pop("identity", {}),
    }
    return FigureSnapshot(
        dpprof="0.1.0",
        runs=more.pop("runs", ["hand-made"]),
        steps=list(steps),
        identity=RunIdentity(**identity),
        places=[RankSeat(rank=rank, pp_rank=rank, stages=[rank]) for rank in range(count)],
        job={name: _figure(value) for name, value in figures.items()},
        ranks={
            name: RankColumn(
                mean=[one.mean for one in values],
                step_sd=[one.step_sd for one in values],
            )
            for name, values in columns.items()
        },
        **more,
    )


def _figure(value: Any) -> Figure:
    return value if isinstance(value, Figure) else Figure(value, step_sd=0)


def simulated(*faults: str, schedule: str = "dualpipe", pp: int = 4) -> Measured:
    """A simulated step with faults planted on ranks."""
    plan = make_schedule(schedule, pp, 2 * pp)
    costs = load_costs("deepseek-v3")
    planted = [read_fault(text, pp) for text in faults]
    templates = {
        (rank, operation): template
        for rank in range(pp)
        for (_, operation), template in timing_from_profile(
            with_faults(costs, planted, rank), 1
        ).templates.items()
    }
    everywhere = with_faults(costs, planted, 0)
    step = simulate(plan, Timing(templates, everywhere.message), "eager")
    run = run_of_step(step, everywhere, 1)
    # A change of the code, which costs know nothing of.
    manifest = msgspec.structs.replace(run.manifest, costs=msgspec.to_builtins(costs))
    object.__setattr__(run, "manifest", manifest)
    return Measured(run, analyze(run))


@pytest.fixture(scope="session")
def make_snapshot() -> Callable[..., FigureSnapshot]:
    return build_snapshot


@pytest.fixture(scope="session")
def make_simulated() -> Callable[..., Measured]:
    return simulated
