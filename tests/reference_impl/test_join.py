"""Under torchrun, `dpprof profile` joins the given world, for as many schedules as it likes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from dpprof.system.whole import partial_path

pytest.importorskip("torch", reason="the reference implementation needs torch")

pytestmark = pytest.mark.slow


def _torchrun(out, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["-m", "dpprof", "profile", "--device", "emulated", "--costs", "unit"]
    command += ["--micro-batches", "4", "--schedule", "1f1b,dualpipe", "-o", str(out)]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_schedules_in_one_world(tmp_path):
    process = _torchrun(tmp_path / "out", "--num-steps", "1")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    for name in ("1f1b", "dualpipe"):
        files = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
        assert files == ["rank0.json.gz", "rank1.json.gz", "run.json"]
    assert output.count("ideal step time") == 1  # one rank reports


def test_a_terminated_world_leaves_no_partial_run(tmp_path):
    process = _torchrun(tmp_path / "out", "--num-steps", "1000")
    partial = partial_path(tmp_path / "out", "1f1b")
    while not partial.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert not partial.exists()
