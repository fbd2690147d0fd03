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


PLAIN = ("GPipe", "DualPipeV")  # those that are trained without dpprof, too


def job(folder: Path, *names: str, before: tuple[str, ...] = ()) -> list[str]:
    """Run these loops in `folder`; their output, sorted, as ranks race."""
    done = subprocess.run(
        [*before, sys.executable, str(HERE / "every_loop.py"), *names],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


@pytest.fixture(scope="module")
def profiled(tmp_path_factory) -> tuple[list[str], dict[str, Path]]:
    """What one job of all loops printed, and the run of each: those come beside each other."""
    folder = tmp_path_factory.mktemp("loops")
    names = [*TORCH, "GPipe-gap", "1F1B-wire", "torchtitan", *FRAMEWORKS, "ddp", "fsdp2"]
    run = [sys.executable, "-m", "dpprof", "run", "--quiet", "-o", "out", "--num-steps", "2"]
    said = job(folder, *names, before=(*run, "--"))
    numbers = range(2, len(names) + 1)
    found = [folder / "out", *(folder / f"out-{n}" for n in numbers)]
    return said, dict(zip(names, found, strict=True))


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


@pytest.mark.parametrize("name", TORCH)
def test_torchs_schedules_are_known_and_their_straggler_is_named(profiled, name):
    report = check(profiled[1][name], TORCH[name])
    slow = report.slow_slots[0]
    assert (slow.rank, slow.what) == (1, "compute")
    assert slow.slot.startswith("F")
    assert ".3" in slow.slot
    assert slow.excess_ns == pytest.approx(54e6, rel=0.5)


def test_training_computes_bit_for_bit_what_it_does_without(profiled, tmp_path):
    plain = job(tmp_path, *PLAIN)
    said = [line for line in profiled[0] if line.startswith(PLAIN) and "gap" not in line]
    assert said == plain
    assert len(plain) == 4 * len(PLAIN)


def test_a_gap_of_python_is_the_hosts(profiled):
    report = check(profiled[1]["GPipe-gap"], "gpipe")
    slow = report.slow_slots[0]
    assert (slow.rank, slow.slot, slow.what) == (1, "F0.3", "host")
    assert slow.excess_ns == pytest.approx(54e6, rel=0.5)
    assert report.ranks[1].states_ns["bubble.host"] >= 2 * 0.7 * 54e6


def test_a_slow_wire_is_named_with_what_it_costs(profiled):
    report = check(profiled[1]["1F1B-wire"], "1f1b")
    wire = report.slow_links[0]
    assert (wire.sender, wire.receiver, wire.messages) == (1, 2, 4)
    assert wire.message_ns == pytest.approx(30e6, rel=0.5)
    assert wire.excess_ns == pytest.approx(4 * 30e6, rel=0.5)
    assert not any(one.rank == 1 for one in report.slow_slots)


def test_a_step_of_torchtitans_is_the_trainers_however_often_it_runs_the_pipeline(profiled):
    report = check(profiled[1]["torchtitan"], "1f1b x2")
    assert report.micro_batches == 8
    assert {one.slot for one in report.slow_slots} == {"F0.3", "F0.7"}
    assert {one.rank for one in report.slow_slots} == {1}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks_are_known_by_their_functions(profiled, name):
    check(profiled[1][name], FRAMEWORKS[name])


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_a_step_of_replicas_is_the_optimizers_and_they_wait_for_the_slower_one(profiled, name):
    folder = profiled[1][name]
    report = report_of(folder)
    assert report.schedule is None
    assert report.step_ns == pytest.approx(shares(folder)[0] * 1e6, rel=0.03)
    assert report.waited_for[0].rank == 1
