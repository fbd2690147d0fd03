"""The mesh: which pipeline, data and expert rank each process is, and its process groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from dpprof.reference.runtime.cuda_process import limit_waiting
from dpprof.schedules.schedule import Schedule

MESSAGE_BLOCKS = 2
"""Blocks of an edge's kernels: a receive that waits for its message holds that many
multiprocessors. NCCL takes 16 over NVLink if it is let, and a middle rank has two such edges."""


@dataclass(frozen=True)
class Mesh:
    """`pp` x `dp` x `ep` processes; expert ranks are neighbours, replicas of them come next."""

    pp: int
    ep: int
    rank: int
    dp: int = 1

    @property
    def pp_rank(self) -> int:
        """Pipeline rank of this process."""
        return self.rank // self.data_size

    @property
    def dp_rank(self) -> int:
        """Which replica of the experts this process belongs to."""
        return self.rank % self.data_size // self.ep

    @property
    def ep_rank(self) -> int:
        """Expert rank of this process."""
        return self.rank % self.ep

    @property
    def data_size(self) -> int:
        """Ranks that train different tokens with the same stages: all replicas' expert ranks."""
        return self.dp * self.ep

    @property
    def data_rank(self) -> int:
        """This process among them."""
        return self.rank % self.data_size

    @property
    def expert_group(self) -> str:
        """Name of this process's expert-parallel group in labels."""
        return f"ep.{self.pp_rank}" + (f".{self.dp_rank}" if self.dp > 1 else "")

    def rank_of(self, pp_rank: int) -> int:
        """Global rank that stands at `pp_rank` in this process's pipeline."""
        return pp_rank * self.data_size + self.data_rank


@dataclass(frozen=True)
class Groups:
    """Process groups of this rank; None stands for a group of one.

    `ep`: the ranks that share this stage's experts; each of them trains other tokens. `data`:
    these and their replicas, which all hold a copy of everything but the experts; `replicas`:
    those with the same experts. `mirror`: the pipeline ranks that hold the same two stages
    (DualPipe), for this data rank.
    """

    ep: dist.ProcessGroup | None
    mirror: dist.ProcessGroup | None
    edges: dict[tuple[int, int], dist.ProcessGroup]
    data: dist.ProcessGroup | None = None
    replicas: dist.ProcessGroup | None = None

    @property
    def everyone(self) -> list[dist.ProcessGroup]:
        """All of them."""
        named = (self.ep, self.mirror, self.data, self.replicas, *self.edges.values())
        return [group for group in named if group is not None]


def make_groups(
    mesh: Mesh, schedule: Schedule, backend: str, sms: int | None = None, loop: bool = False
) -> Groups:
    """Create every group of the job; all ranks must call this, at the same time.

    `sms` bounds the multiprocessors of NCCL's all-to-all (`nccl_blocks`). With `loop` an expert
    group of one is a group all the same, so that what is sent there really moves. NCCL orders the
    operations of a communicator, so that a send in one direction would wait for a receive in the
    other: every directed edge of the pipeline gets a communicator of its own. gloo matches by tag
    and needs only the world's.
    """
    device_mesh = _device_mesh(mesh, backend, sms)
    mirror = _own_group(
        (
            [p * mesh.data_size + d for p in ranks]
            for ranks in mirror_ranks(schedule)
            for d in range(mesh.data_size)
        ),
        mesh.rank,
        "mirror",
    )
    groups = Groups(
        ep=device_mesh["ep"].get_group() if mesh.ep > 1 or loop else None,
        mirror=mirror,
        edges=_edge_groups(mesh, schedule) if backend == "nccl" else {},
        data=_data_group(device_mesh) if mesh.data_size > 1 else None,
        replicas=device_mesh["dp"].get_group() if mesh.dp > 1 else None,
    )
    limit_waiting(groups.everyone)
    return groups


def nccl_blocks(sms: int) -> int:
    """The largest number of blocks that NCCL can be held to for at most `sms` multiprocessors.

    It takes powers of two, and rounds what it is told up: 20 would become 32 (NCCL 2.28,
    ``ncclTopoComputeP2pChannels`` in graph/paths.cc).
    """
    return 1 << (sms.bit_length() - 1)


def _device_mesh(mesh: Mesh, backend: str, sms: int | None) -> DeviceMesh:
    """PP x DP x EP as torch has it."""
    options: dict[str, Any] = {}
    if backend == "nccl" and sms is not None:
        bounded = dist.ProcessGroupNCCL.Options(is_high_priority_stream=True)
        bounded.config.max_ctas = nccl_blocks(sms)
        options = {"backend_override": {"ep": ("nccl", bounded)}}
    return init_device_mesh(
        "cuda" if backend == "nccl" else "cpu",
        (mesh.pp, mesh.dp, mesh.ep),
        mesh_dim_names=("pp", "dp", "ep"),
        **options,
    )


def _data_group(device_mesh: DeviceMesh) -> dist.ProcessGroup:
    return device_mesh["dp", "ep"]._flatten("data").get_group()


def _edge_groups(mesh: Mesh, schedule: Schedule) -> dict[tuple[int, int], dist.ProcessGroup]:
    """A communicator of two ranks for every directed edge, connected.

    NCCL connects with the first message, for which the host waits. In the middle of a step both
    ends could so wait for each other, by way of other ranks; here every rank goes through the
    edges in the same order, so somebody can always go on.
    """
    edges = {}
    for source, target in pipeline_edges(schedule):
        for d in range(mesh.data_size):
            ranks = [source * mesh.data_size + d, target * mesh.data_size + d]
            first = dist.ProcessGroupNCCL.Options(is_high_priority_stream=True)
            first.config.max_ctas = MESSAGE_BLOCKS
            description = f"pp {ranks[0]}>{ranks[1]}"
            group = dist.new_group(ranks, pg_options=first, group_desc=description)
            if mesh.rank in ranks:
                edges[ranks[0], ranks[1]] = group
    for (source, target), group in edges.items():
        greeting = torch.zeros(1, device="cuda")
        if mesh.rank == source:
            dist.send(greeting, target, group=group)
        else:
            dist.recv(greeting, source, group=group)
    torch.cuda.synchronize()
    return edges


def _own_group(members: Iterable[list[int]], rank: int, name: str) -> dist.ProcessGroup | None:
    own = None
    for index, ranks in enumerate(members):
        if len(ranks) > 1:
            group = dist.new_group(ranks, group_desc=f"{name} {index}")
            own = group if rank in ranks else own
    return own


def mirror_ranks(schedule: Schedule) -> list[list[int]]:
    """Sets of pipeline ranks that hold copies of the same stages."""
    by_stages: dict[frozenset[int], list[int]] = {}
    for pp_rank, stages in enumerate(schedule.placement.stages):
        by_stages.setdefault(frozenset(stages), []).append(pp_rank)
    return [ranks for ranks in by_stages.values() if len(ranks) > 1]


def pipeline_edges(schedule: Schedule) -> list[tuple[int, int]]:
    """Directed edges between pipeline ranks that carry messages, sorted."""
    places = schedule.placement.places()
    forward = {
        (places[stream, stage].pp_rank, places[stream, stage + 1].pp_rank)
        for stream, stage in places
        if (stream, stage + 1) in places
    }
    both = forward | {(target, source) for source, target in forward}
    return sorted(edge for edge in both if edge[0] != edge[1])
