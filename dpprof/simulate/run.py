"""A simulated step as a `Run`: the same tables as a captured one, labelled simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

import dpprof
from dpprof.costs.profile import CostProfile, MemoryCost
from dpprof.costs.stages import stage_memory
from dpprof.runs.manifest import SCHEMA_VERSION, Manifest, RankPlace
from dpprof.runs.run import Run
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.activations import in_flight_of, memory_curve
from dpprof.simulate.engine import SimulatedStep, simulate
from dpprof.simulate.events import events_table
from dpprof.simulate.slot_columns import slot_columns, slots_table
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.walk import Communication
from dpprof.tables import columns


def simulated_run(
    schedule: Schedule,
    profile: CostProfile,
    *,
    layers: int | None = None,
    communication: Communication = "eager",
) -> Run:
    """One step of `schedule` with the costs of `profile`, as step 0 of a run.

    `layers` is the length of one stage's chunk (default: the profile's own). A pipeline rank is
    one rank: what an expert-parallel group would do in parallel is done once. Errors: those of
    `dpprof.simulate.engine.simulate`.
    """
    timing = schedule_timing(schedule, profile, layers)
    return run_of_step(simulate(schedule, timing, communication), profile, layers)


def run_of_step(step: SimulatedStep, profile: CostProfile, layers: int | None = None) -> Run:
    """The tables of a step that was simulated with (the timing of) `profile`."""
    slots = slot_columns(step)
    stages = stage_memory(profile, step.schedule.placement.stage_count, layers)
    places = tuple(
        RankPlace(rank=rank, pp_rank=rank, **place_memory(step.schedule, rank, stages))
        for rank in range(step.schedule.pp)
    )
    return Run(
        name=f"{step.schedule.name} ({profile.name})",
        source="simulated",
        events=events_table(step, slots),
        places=places,
        schedule=step.schedule,
        manifest=_manifest(step, profile, places),
        slots=slots_table(slots),
        memory=memory_curve(step.schedule, in_flight_of(slots), stages),
        steps=columns.make_table(
            columns.STEPS,
            {
                columns.RANK: list(range(step.schedule.pp)),
                columns.STEP: 0,
                columns.START: 0,
                columns.END: step.makespan_ns,
            },
        ),
    )


def place_memory(schedule: Schedule, pp_rank: int, stages: Sequence[MemoryCost]) -> dict[str, Any]:
    """What a pipeline rank holds, as fields of `RankPlace`; bytes only where costs say them."""
    own = schedule.placement.stages[pp_rank]
    known: dict[str, Any] = {"stages": list(own)}
    if all(stage == MemoryCost() for stage in stages):
        return known
    for field in ("parameter_bytes", "gradient_bytes", "optimizer_bytes"):
        known[field] = sum(getattr(stages[stage], field) for stage in set(own))
    chunks = [stages[stage].activation_bytes for stage in own]
    if len(set(chunks)) > 1:
        return known | {"chunk_bytes": chunks}
    return known | {"activation_bytes": chunks[0]}


def _manifest(step: SimulatedStep, profile: CostProfile, places: tuple[RankPlace, ...]) -> Manifest:
    schedule, tokens = step.schedule, profile.tokens_per_micro_batch
    return Manifest(
        schema_version=SCHEMA_VERSION,
        source="simulated",
        schedule=schedule_to_json(schedule),
        device="simulated",
        world_size=schedule.pp,
        ranks=list(places),
        mesh={"pp": schedule.pp, "ep": 1, "dp": 1},
        micro_batches=schedule.micro_batches,
        tokens_per_step=None if tokens is None else tokens * schedule.micro_batches,
        costs=msgspec.to_builtins(profile),
        versions={"dpprof": dpprof.__version__},
        notes=[f"{step.communication} communication"],
    )
