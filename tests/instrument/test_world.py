"""Ranks of one start of a job know each other by their environment alone."""

from __future__ import annotations

import pytest

from dpprof.instrument import world as module
from dpprof.instrument.world import RUN_ID, find_world


@pytest.fixture
def job_of(monkeypatch):
    """The job's name in a process with this environment and this parent, outside of torch."""
    monkeypatch.setattr(module, "_by_torch", lambda: None)

    def job(parent: int = 1, node: str = "a", **environment: str) -> str:
        monkeypatch.setattr(module.os, "getppid", lambda: parent)
        monkeypatch.setattr(module.platform, "node", lambda: node)
        return find_world(environment).job

    return job


def _rank(number: int, **more: str) -> dict[str, str]:
    return {"RANK": str(number), "WORLD_SIZE": "2", **more}


def test_ranks_of_one_parent_are_one_job(job_of):
    assert job_of(7, **_rank(0)) == job_of(7, **_rank(1))
    assert job_of(7, **_rank(0)) != job_of(8, **_rank(1))


def test_a_rank_that_starts_the_others_is_of_their_job_under_the_launcher(job_of):
    """Lightning does so."""
    said = {RUN_ID: "one"}
    assert job_of(7, **_rank(0), **said) == job_of(8, **_rank(1), **said)
    assert job_of(7, **_rank(0), **said) != job_of(7, **_rank(0), **{RUN_ID: "two"})


def test_launchers_on_every_node_are_one_job(job_of):
    """`torchrun` has a rendezvous, `srun` a step: each node may have a `dpprof run` of its own."""
    nodes = {"TORCHELASTIC_RUN_ID": "5", "LOCAL_WORLD_SIZE": "1", "MASTER_PORT": "3"}
    first = job_of(7, "a", **_rank(0), **nodes, **{RUN_ID: "one"})
    assert first == job_of(8, "b", **_rank(1), **nodes, **{RUN_ID: "two"})
    step = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "4", "SLURM_STEP_ID": "0"}
    first = job_of(7, "a", SLURM_PROCID="0", **step, **{RUN_ID: "one"})
    assert first == job_of(8, "b", SLURM_PROCID="1", **step, **{RUN_ID: "two"})
