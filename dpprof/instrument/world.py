"""Who this process is in its job: asked on entering, without a word to the other ranks."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

_RANK_AND_SIZE = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
"""What launchers call the two, the most trusted first."""

_STEPS = ("SLURM_STEP_ID", "OMPI_MCA_ess_base_jobid", "PMI_JOBID")

RUN_ID = "DPPROF_RUN_ID"
"""What ``dpprof run`` calls one start of it."""

_JOB = (
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "OMPI_MCA_ess_base_jobid",
    "PMI_JOBID",
)


@dataclass(frozen=True)
class World:
    """Rank and number of ranks, and a text that is the same on all ranks of one start of the job.

    `said` is whether anything told the rank: else it is 0 of 1.
    """

    rank: int
    size: int
    job: str
    said: bool


def find_world(environment: Mapping[str, str] = os.environ) -> World:
    """This process's rank, by torch.distributed where it is ready, else by the environment."""
    rank, size, said = _by_torch() or _by_environment(environment)
    return World(rank, size, _job(environment, size), said)


def _by_torch() -> tuple[int, int, bool] | None:
    import torch.distributed

    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not ready:
        return None
    return torch.distributed.get_rank(), torch.distributed.get_world_size(), True


def _by_environment(environment: Mapping[str, str]) -> tuple[int, int, bool]:
    for rank_name, size_name in _RANK_AND_SIZE:
        rank, size = environment.get(rank_name, ""), environment.get(size_name, "")
        if rank.isdecimal():
            number = int(rank)
            return number, max(int(size) if size.isdecimal() else 1, number + 1), True
    return 0, 1, False


def _job(environment: Mapping[str, str], size: int) -> str:
    """Environment that all ranks of a job share, and who has started them, where one has."""
    parts = [environment.get(name, "") for name in _JOB]
    if environment.get("LOCAL_WORLD_SIZE", str(size)) == str(size) and not _is_step(environment):
        parts.append(environment.get(RUN_ID) or f"{platform.node()}/{os.getppid()}")
    if size == 1:
        parts.append(str(os.getpid()))
    return "/".join([*parts, str(size)])


def _is_step(environment: Mapping[str, str]) -> bool:
    """Whether a cluster's launcher started every rank, and said in which step of which job."""
    return "RANK" not in environment and any(environment.get(name) for name in _STEPS)
