"""The frameworks themselves under `dpprof run`, where they are installed; no line is changed.

They are no dependencies, not of the tests either: ``pip install deepspeed transformers accelerate
lightning`` into an environment of your own runs these six.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the launcher captures with torch")

sys.path.insert(0, str(Path(__file__).parent))
from truth import shares

from dpprof.analysis.report.analyze import Report, analyze
from dpprof.trace.load import load_run

pytestmark = pytest.mark.slow

HERE = Path(__file__).with_name("installed")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node")


def report_of(folder: Path, *command: str) -> Report:
    """What is measured of a job, whose step and idle time are what its traces say."""
    run = [sys.executable, "-m", "dpprof", "run", "--quiet", "-o", "out", "--", *command]
    done = subprocess.run(
        run,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = analyze(load_run(folder / "out"))
    step_ms, idle = shares(folder / "out")
    states = report.total.states_ns
    computing = (states["compute_only"] + states["overlap"]) / report.total.window_ns
    assert report.step_ns == pytest.approx(step_ms * 1e6, rel=0.03)
    assert 1 - computing == pytest.approx(idle, abs=0.03)
    return report


@pytest.mark.parametrize(("fault", "what"), [("straggler", "compute"), ("gap", "host")])
def test_deepspeeds_pipeline(tmp_path, fault, what):
    pytest.importorskip("deepspeed", reason="DeepSpeed is no dependency of dpprof's")
    report = report_of(tmp_path, *TORCHRUN, "4", str(HERE / "deepspeed_pipe.py"), fault)
    assert report.schedule == "1f1b"
    slow = report.slow_slots[0]
    assert (slow.rank, slow.slot, slow.what) == (1, "F0.3", what)
    assert slow.excess_ns == pytest.approx(90e6, rel=0.3)


@pytest.mark.parametrize(
    ("package", "name", "starter"),
    [
        ("transformers", "trainer", (*TORCHRUN, "2")),
        ("lightning", "lightning", (sys.executable,)),
        ("accelerate", "accelerate", (*TORCHRUN, "2")),
    ],
)
def test_replicas_wait_for_the_slower_one(tmp_path, package, name, starter):
    pytest.importorskip(package, reason=f"{package} is no dependency of dpprof's")
    report = report_of(tmp_path, *starter, str(HERE / "replicas.py"), name)
    assert len(report.ranks) == 2
    assert report.waited_for[0].rank == 1


def test_accelerate_launch(tmp_path):
    """On CPUs it starts one process, however many are asked for, unless there is MPI."""
    pytest.importorskip("accelerate", reason="accelerate is no dependency of dpprof's")
    launch = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1")
    report = report_of(tmp_path, *launch, str(HERE / "replicas.py"), "accelerate")
    assert [one.rank for one in report.ranks] == [0]
