"""The mesh: which pipeline rank and which expert rank each process is, and its process groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch.distributed as dist

from dpprof.schedules.schedule import Schedule


@dataclass(frozen=True)
class Mesh:
    """`pp` x `ep` processes; expert ranks of one pipeline rank are neighbours."""

    pp: int
    ep: int
    rank: int

    @property
    def pp_rank(self) -> int:
        """Pipeline rank of this process."""
        return self.rank // self.ep

    @property
    def ep_rank(self) -> int:
        """Expert (and data) rank of this process."""
        return self.rank % self.ep

    def rank_of(self, pp_rank: int) -> int:
        """Global rank that stands at `pp_rank` in this process's pipeline."""
        return pp_rank * self.ep + self.ep_rank


@dataclass(frozen=True)
class Groups:
    """Process groups of this rank; None stands for a group of one.

    `ep`: the ranks that share this stage's experts; each of them trains other tokens, so it is
    the data-parallel group of everything but the experts too. `mirror`: the pipeline ranks that
    hold the same two stages (DualPipe), for this expert rank.
    """

    ep: dist.ProcessGroup | None
    mirror: dist.ProcessGroup | None
    edges: dict[tuple[int, int], dist.ProcessGroup]


def make_groups(mesh: Mesh, schedule: Schedule, backend: str) -> Groups:
    """Create every group of the job; all ranks must call this, at the same time.

    NCCL orders the operations of a communicator, so that a send in one direction would wait for
    a receive in the other: every directed edge of the pipeline gets a communicator of its own.
    gloo matches by tag and needs only the world's.
    """
    ep = _own_group(
        ([p * mesh.ep + e for e in range(mesh.ep)] for p in range(mesh.pp)), mesh.rank, "ep"
    )
    mirror = _own_group(
        (
            [p * mesh.ep + e for p in ranks]
            for ranks in mirror_ranks(schedule)
            for e in range(mesh.ep)
        ),
        mesh.rank,
        "mirror",
    )
    edges = {}
    if backend == "nccl":
        for source, target in pipeline_edges(schedule):
            for e in range(mesh.ep):
                ranks = [source * mesh.ep + e, target * mesh.ep + e]
                group = dist.new_group(ranks, group_desc=f"pp {ranks[0]}>{ranks[1]}")
                if mesh.rank in ranks:
                    edges[ranks[0], ranks[1]] = group
    return Groups(ep, mirror, edges)


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
