"""A schedule for a model: how long its step takes and what its ranks hold, predicted."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import stage_memory
from dpprof.errors import DpprofError
from dpprof.schedules.in_flight import most_in_flight
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.activations import peak_bytes
from dpprof.simulate.engine import SimulatedStep, simulate
from dpprof.simulate.layers import chunk_layers
from dpprof.simulate.stage_timing import schedule_timing


@dataclass(frozen=True)
class Candidate:
    """A schedule whose stages are chunks of `layers` layers (None: see the costs), simulated.

    `peak_chunks` and `peak_bytes` are the most that each pipeline rank holds; bytes are those of
    parameters, gradients, optimizer state and activations, 0 where the costs say nothing of them.
    """

    schedule: Schedule
    layers: int | None
    step: SimulatedStep
    peak_chunks: tuple[int, ...]
    peak_bytes: tuple[int, ...]

    @property
    def step_ns(self) -> int:
        """Length of the step."""
        return self.step.makespan_ns

    @property
    def stages(self) -> int:
        """Stages that the model is cut into."""
        return self.schedule.placement.stage_count

    @property
    def bubble_share(self) -> float:
        """Part of all ranks' time that is outside their slots."""
        whole = self.step.makespan_ns * self.schedule.pp
        return sum(self.step.idle_ns) / whole if whole else 0.0


def candidate(schedule: Schedule, costs: CostProfile, layers: int | None) -> Candidate:
    """Simulate a schedule of chunks of `layers` layers; errors are those of the simulator.

    None: the costs list the layers.
    """
    return Candidate(
        schedule,
        layers,
        simulate(schedule, schedule_timing(schedule, costs, layers)),
        tuple(map(most_in_flight, schedule.ranks)),
        peak_bytes(schedule, stage_memory(costs, schedule.placement.stage_count, layers)),
    )


def known_candidates(
    pp: int,
    micro_batches: int,
    costs: CostProfile,
    model_layers: int,
    names: tuple[str, ...] = (),
) -> list[Candidate]:
    """The known schedules (or those of `names`) of a model of `model_layers`.

    A schedule whose sizes do not fit, or whose stages do not divide the layers, is left out, but
    for a single name, whose error is raised. Fastest first.
    """
    found = []
    for name in names or schedule_names():
        try:
            schedule = make_schedule(name, pp, micro_batches)
            found.append(candidate(schedule, costs, chunk_layers(costs, schedule, model_layers)))
        except DpprofError:
            if len(names) == 1:
                raise
    return sorted(found, key=lambda one: one.step_ns)
