"""`dpprof run` on jobs that are started in other ways: the ranks are found, and are one run."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the launcher captures with torch")

pytestmark = pytest.mark.slow

PLAIN = str(Path(__file__).with_name("plain.py"))
DPPROF_RUN = [sys.executable, "-m", "dpprof", "run", "--quiet", "-o", "out", "--"]

SRUN = """#!/bin/sh
# Stand-in for srun: two tasks of one step.
for task in 0 1; do
  SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_NTASKS=2 SLURM_PROCID=$task "$@" &
done
wait
"""


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def check_two_ranks_of_one_run(folder: Path, *processes: subprocess.Popen[str]) -> None:
    said = [one.communicate(timeout=200)[1] for one in processes]
    assert [one.returncode for one in processes] == [0] * len(processes), said
    names = sorted(one.name for one in (folder / "out").iterdir())
    assert names == ["rank0.json.gz", "rank1.json.gz", "run.json"], said


def test_children_that_a_process_spawns(tmp_path):
    check_two_ranks_of_one_run(
        tmp_path, start(tmp_path, *DPPROF_RUN, sys.executable, PLAIN, "spawn")
    )


def test_tasks_of_a_cluster_with_a_launcher_each(tmp_path):
    srun = tmp_path / "srun"
    srun.write_text(SRUN)
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)
    job = start(tmp_path, str(srun), *DPPROF_RUN, sys.executable, PLAIN)
    check_two_ranks_of_one_run(tmp_path, job)


def test_two_nodes_with_a_launcher_each(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    torchrun += ["--nproc-per-node", "1", "--master-port", port]
    nodes = [
        start(tmp_path, *DPPROF_RUN, *torchrun, "--node-rank", str(node), PLAIN) for node in (0, 1)
    ]
    check_two_ranks_of_one_run(tmp_path, *nodes)
