"""The same model cut into another schedule's stages."""

from __future__ import annotations

from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import delay_notes, is_uniform, model_layers, stage_layers, usual_layers
from dpprof.errors import DpprofError
from dpprof.schedules.schedule import Schedule


def same_model_layers(costs: CostProfile, ran: Schedule, schedule: Schedule) -> int | None:
    """Layers of a stage with which `schedule` is of the model that `ran` ran with these costs.

    A schedule of more stages has fewer layers in each, so that a step is the same work; None
    where the costs list the layers themselves. Raises `DpprofError` where layers do not divide.
    """
    return chunk_layers(costs, schedule, model_layers(costs, ran.placement.stage_count))


def layers_per_stage(schedule: Schedule, model: int) -> int:
    """Layers of each of the schedule's stages, of a model of `model` layers; errors as above."""
    stages = schedule.placement.stage_count
    if model % stages:
        raise DpprofError(
            f"{schedule.name} cuts the model into {stages} stages, by which its {model} layers do "
            "not divide; profile a run with more layers, or simulate another model: say how many "
            "layers each stage is to have"
        )
    return model // stages


def chunk_layers(costs: CostProfile, schedule: Schedule, model: int) -> int | None:
    """`layers_per_stage` where the costs are the same for every layer; None: the costs say it."""
    return layers_per_stage(schedule, model) if is_uniform(costs) else None


def fitting_costs(
    costs: CostProfile, schedule: Schedule, layers: int | None = None
) -> tuple[CostProfile, tuple[str, ...]]:
    """Measured costs with which a schedule can be simulated, and what is to be said of them.

    Where the stages of the run are not alike, and the schedule's (of `layers` layers each) are no
    cut of its layers, every layer is taken to cost what the usual one does.
    """
    stages = schedule.placement.stage_count
    try:
        stage_layers(costs, stages, layers)
    except DpprofError:
        if is_uniform(costs):
            raise
        whole = model_layers(costs, stages)
        note = (
            f"the stages of {costs.name} are not alike, and {stages} stages of {schedule.name} are "
            f"no cut of its {whole} layers: every layer is taken to cost what the usual one does"
        )
        return usual_layers(costs), (note, *delay_notes(costs, schedule.pp))
    return costs, delay_notes(costs, schedule.pp)
