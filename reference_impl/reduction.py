"""What ranks add up at the end of a step: gradients of shared parameters, and the loss.

Every rank's loss is scaled by the tokens of the whole step, so gradients are added, never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist

from dpprof.instrument.labels import label
from reference_impl.mesh import Groups, Mesh
from reference_impl.parameters import Parameters


def reduce_gradients(parameters: Mapping[int, Parameters], mesh: Mesh, groups: Groups) -> None:
    """All-reduce a rank's gradients, `parameters` being those of its stages by stage number.

    Over the expert-parallel group everything but the experts, because its ranks train different
    tokens with copies of the same parameters; experts have had their tokens sent to them. Over
    the mirror ranks of DualPipe everything, in stage order: there a stage has another direction.
    """
    by_stage = [parameters[stage] for stage in sorted(parameters)]
    for sequence, each in enumerate(by_stage):
        _add_up(each.replicated_gradients, groups.ep, f"data.{mesh.pp_rank}", sequence)
    buffers = [
        buffer for each in by_stage for buffer in (each.replicated_gradients, each.expert_gradients)
    ]
    for sequence, buffer in enumerate(buffers):
        _add_up(buffer, groups.mirror, mirror_name(groups), sequence)


def reduce_loss(loss: torch.Tensor, mesh: Mesh, groups: Groups) -> float:
    """The step's loss, from what the ranks that hold the last stage have summed."""
    total = loss.clone()
    _add_up(total, groups.ep, f"loss.data.{mesh.pp_rank}", 0)
    _add_up(total, groups.mirror, f"loss.{mirror_name(groups)}", 0)
    return total.item()


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
        dist.all_reduce(values, group=group)
