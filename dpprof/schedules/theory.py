"""What a schedule's authors promise for given chunk costs, and where dependencies bear it out."""

from __future__ import annotations

from collections.abc import Mapping

from dpprof.errors import DpprofError
from dpprof.schedules.definition import Bubble, ChunkCosts, ScheduleTheory
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import schedule_definition, schedule_names
from dpprof.schedules.schedule import Schedule


def chunk_costs(operation_ns: Mapping[str, int]) -> ChunkCosts:
    """Fill up the costs of a chunk from those of F, B, I, W and F&B that are given.

    What is missing follows from B = I + W and F&B = F + B; with neither I nor W, W is taken as 0.
    Raises `DpprofError` where F, or all of B, I and W, are missing.
    """
    if "F" not in operation_ns or not operation_ns.keys() & {"B", "I", "W"}:
        given = ", ".join(sorted(operation_ns)) or "none"
        raise DpprofError(f"costs of {given}: give at least F, and B or both I and W")
    forward = operation_ns["F"]
    backward, inputs, weights = (operation_ns.get(name) for name in ("B", "I", "W"))
    if backward is None:
        backward = (inputs or 0) + (weights or 0)
    if inputs is None:
        inputs = backward - (weights or 0)
    if weights is None:
        weights = backward - inputs
    return ChunkCosts(
        forward, backward, inputs, weights, operation_ns.get("F&B", forward + backward)
    )


def theory(schedule: Schedule, operation_ns: Mapping[str, int]) -> ScheduleTheory:
    """The promise (metrics.md, section 7) for a schedule whose chunks cost `operation_ns`.

    `operation_ns` has nanoseconds of F, B, I, W and F&B of one stage's chunk (`chunk_costs`
    fills up what is missing). A schedule that no name stands for promises nothing: its figures
    are its own, and the bubble is None with the reason.
    """
    if schedule.name in schedule_names():
        definition = schedule_definition(schedule.name)
        return definition.theory(schedule.pp, schedule.micro_batches, chunk_costs(operation_ns))
    peak = max(rank.total for rank in peak_in_flight(schedule))
    bubble = Bubble(None, None, f"no closed form is known for schedule {schedule.name!r}")
    return ScheduleTheory("", bubble, len(schedule.placement.streams), peak, schedule.pp)
