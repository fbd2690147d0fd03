"""What ranks add up at the end of a step: gradients of shared parameters, and the loss.

Every rank's loss is scaled by the tokens of the whole step, so gradients are added, never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.distributed as dist

from dpprof.instrument.labels import label
from dpprof.reference.model.expert_copies import add_up_copies
from dpprof.reference.model.parameters import is_expert
from dpprof.reference.model.stage import StageModel
from dpprof.reference.runtime.host_staging import add_up
from dpprof.reference.runtime.mesh import Groups, Mesh


def reduce_gradients(stages: Mapping[int, StageModel], mesh: Mesh, groups: Groups) -> None:
    """All-reduce a rank's gradients, `stages` being its stages by number.

    Over the data group everything but the experts, because its ranks train different tokens with
    copies of the same parameters. Experts have had their tokens sent to them: theirs over their
    replicas, and over their copies in other slots. Over the mirror ranks of DualPipe everything,
    in stage order: there a stage has another direction.
    """
    by_stage = [stages[stage] for stage in sorted(stages)]
    for sequence, each in enumerate(by_stage):
        parameters = each.parameters
        _add_up(parameters.replicated_gradients, groups.data, f"data.{mesh.pp_rank}", sequence)
        _add_up_experts(each, mesh, groups)
        name = f"replicas.{mesh.pp_rank}.{mesh.ep_rank}"
        _add_up(parameters.expert_gradients, groups.replicas, name, sequence)
    buffers = [
        buffer
        for each in by_stage
        for buffer in (each.parameters.replicated_gradients, each.parameters.expert_gradients)
    ]
    for sequence, buffer in enumerate(buffers):
        _add_up(buffer, groups.mirror, mirror_name(groups), sequence)


def reduce_load(stages: Mapping[int, StageModel], mesh: Mesh, groups: Groups) -> None:
    """Make every rank's load that of all ranks that route to the same experts."""
    for sequence, stage in enumerate(sorted(stages)):
        load = stages[stage].load
        _add_up(load, groups.data, f"load.data.{mesh.pp_rank}", sequence)
        _add_up(load, groups.mirror, f"load.{mirror_name(groups)}", sequence)


def reduce_loss(loss: torch.Tensor, mesh: Mesh, groups: Groups) -> float:
    """The step's loss, from what the ranks that hold the last stage have summed."""
    total = loss.clone()
    _add_up(total, groups.data, f"loss.data.{mesh.pp_rank}", 0)
    _add_up(total, groups.mirror, f"loss.{mirror_name(groups)}", 0)
    return float(total.item())


def _add_up_experts(stage: StageModel, mesh: Mesh, groups: Groups) -> None:
    """Copies of an expert in several slots of the expert-parallel ranks."""
    placement = stage.config.expert_placement
    if not placement:
        return
    experts = filter(lambda item: is_expert(item[0]), stage.parameters.gradients.items())
    for sequence, (name, gradient) in enumerate(experts):
        own = f"copies.{stage.numbers.start}.{mesh.expert_group}"
        add_up = partial(_add_up, group=groups.ep, name=own, sequence=sequence)
        add_up_copies(gradient, placement[int(name.split(".")[1])], stage.own_slots, add_up)


def mirror_name(groups: Groups) -> str:
    """Name of the mirror group in labels: its global ranks."""
    if groups.mirror is None:
        return "mirror"
    ranks = dist.get_process_group_ranks(groups.mirror)
    return "mirror." + ".".join(str(rank) for rank in ranks)


def _add_up(
    values: torch.Tensor, group: dist.ProcessGroup | None, name: str, sequence: int
) -> None:
    if group is None:
        return
    with label("all_reduce", group=name, bytes=values.nbytes, sequence=sequence):
        add_up(values, group)
