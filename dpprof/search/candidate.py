"""A schedule for a model: how long its step takes and what its ranks hold, predicted."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.costs.profile import CostProfile
from dpprof.errors import DpprofError
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.activations import static_bytes
from dpprof.simulate.engine import SimulatedStep, simulate
from dpprof.simulate.layers import layers_per_stage
from dpprof.simulate.timing import timing_from_profile


@dataclass(frozen=True)
class Candidate:
    """A schedule whose stages are chunks of `layers` layers, and its simulated step.

    `peak_chunks` and `peak_bytes` are the most that each pipeline rank holds; bytes are those of
    parameters, gradients, optimizer state and activations, 0 where the costs say nothing of them.
    """

    schedule: Schedule
    layers: int
    step: SimulatedStep
    peak_chunks: tuple[int, ...]
    peak_bytes: tuple[int, ...]

    @property
    def step_ns(self) -> int:
        """Length of the step."""
        return self.step.makespan_ns

    @property
    def bubble_share(self) -> float:
        """Part of all ranks' time that is outside their slots."""
        whole = self.step.makespan_ns * self.schedule.pp
        return sum(self.step.idle_ns) / whole if whole else 0.0


def candidate(schedule: Schedule, costs: CostProfile, layers: int) -> Candidate:
    """Simulate a schedule of chunks of `layers` layers; errors are those of the simulator."""
    static = static_bytes(schedule, costs.memory, layers)
    chunks = tuple(peak.total for peak in peak_in_flight(schedule))
    chunk = costs.memory.activation_bytes * layers
    return Candidate(
        schedule,
        layers,
        simulate(schedule, timing_from_profile(costs, layers)),
        chunks,
        tuple(own + held * chunk for own, held in zip(static, chunks, strict=True)),
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
            found.append(candidate(schedule, costs, layers_per_stage(schedule, model_layers)))
        except DpprofError:
            if len(names) == 1:
                raise
    return sorted(found, key=lambda one: one.step_ns)
