"""Other people's loops under `dpprof run`: schedule, bubble and culprit are right."""

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

HERE = Path(__file__).parent
TORCH = {
    "GPipe": "gpipe",
    "1F1B": "1f1b",
    "Interleaved1F1B": "interleaved-1f1b",
    "InterleavedZeroBubble": "interleaved-zero-bubble",
    "ZBVZeroBubble": "zbv",
    "DualPipeV": "dualpipev",
}
FRAMEWORKS = {
    "dualpipe": "dualpipe",
    "dualpipev": "dualpipev",
    "megatron-1f1b": "1f1b",
    "megatron-interleaved": "interleaved-1f1b",
    "megatron-combined": "combined-1f1b",
    "deepspeed": "1f1b",
}


def job(folder: Path, *command: str, profiled: bool = True) -> list[str]:
    """Run a job of this folder into `folder`/out; its output, sorted, as ranks race."""
    before = [
        sys.executable,
        "-m",
        "dpprof",
        "run",
        "--quiet",
        "-o",
        "out",
        "--num-steps",
        "3",
        "--",
    ]
    done = subprocess.run(
        [*(before if profiled else []), sys.executable, str(HERE / command[0]), *command[1:]],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def runs(folder: Path, names: list[str]) -> dict[str, Path]:
    """The run of each part of a job, which come beside each other."""
    numbers = range(2, len(names) + 1)
    return dict(zip(names, [folder / "out", *(folder / f"out-{n}" for n in numbers)], strict=True))


def report_of(folder: Path) -> Report:
    return analyze(load_run(folder))


def idle_share(report: Report) -> float:
    states = report.total.states_ns
    return 1 - (states["compute_only"] + states["overlap"]) / report.total.window_ns


def check(folder: Path, schedule: str) -> Report:
    """The schedule is known, and step and idle time are what the traces say."""
    report = report_of(folder)
    step_ms, idle = shares(folder)
    assert report.schedule == schedule
    assert report.step_ns == pytest.approx(step_ms * 1e6, rel=0.03)
    assert idle_share(report) == pytest.approx(idle, abs=0.03)
    assert report.total.hidden_ns < 0.02 * report.total.window_ns
    return report


@pytest.fixture(scope="module")
def torch_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    said = job(folder, "pipelines.py", "6", "straggler", *TORCH)
    return said, runs(folder, list(TORCH))


@pytest.mark.parametrize("name", TORCH)
def test_torchs_schedules_are_known_and_their_straggler_is_named(torch_runs, name):
    report = check(torch_runs[1][name], TORCH[name])
    slow = report.slow_slots[0]
    assert (slow.rank, slow.what) == (1, "compute")
    assert slow.slot.startswith("F")
    assert ".3" in slow.slot
    assert slow.excess_ns == pytest.approx(54e6, rel=0.5)


def test_training_computes_bit_for_bit_what_it_does_without(torch_runs, tmp_path):
    plain = job(tmp_path, "pipelines.py", "0", "none", *TORCH, profiled=False)
    assert torch_runs[0] == plain
    assert len(plain) == 4 * len(TORCH)


def test_a_gap_of_python_is_the_hosts(tmp_path):
    job(tmp_path, "pipelines.py", "8", "gap", "GPipe")
    report = check(tmp_path / "out", "gpipe")
    slow = report.slow_slots[0]
    assert (slow.rank, slow.slot, slow.what) == (1, "F0.3", "host")
    assert slow.excess_ns == pytest.approx(72e6, rel=0.5)
    assert report.ranks[1].states_ns["bubble.host"] >= 3 * 0.7 * 72e6


@pytest.fixture(scope="module")
def framework_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frameworks")
    job(folder, "frameworks.py", *FRAMEWORKS)
    return runs(folder, list(FRAMEWORKS))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks_are_known_by_their_functions(framework_runs, name):
    check(framework_runs[name], FRAMEWORKS[name])


def test_a_step_of_replicas_is_the_optimizers_and_they_wait_for_the_slower_one(tmp_path):
    job(tmp_path, "replicas.py", "ddp", "fsdp2")
    found = runs(tmp_path, ["ddp", "fsdp2"])
    for folder in found.values():
        report = report_of(folder)
        assert report.schedule is None
        assert report.step_ns == pytest.approx(shares(folder)[0] * 1e6, rel=0.03)
        assert report.waited_for[0].rank == 1
