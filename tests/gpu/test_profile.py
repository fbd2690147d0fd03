"""On a GPU: what ``dpprof profile`` captures, and what the trace proves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the reference implementation needs torch")

import dpprof  # noqa: E402
from dpprof.trace.rank.host_waits import host_waits  # noqa: E402
from dpprof.trace.read.parse import read_trace  # noqa: E402

pytestmark = pytest.mark.gpu

ONE_RANK = ("--pp", "1", "--micro-batches", "8", "--layers", "4", "--model", "medium")
ONE_RANK += ("--set", "micro_batch=4")
"""Four sequences at once: of one, a pair's kernels (4.8 ms) take less than its launches (6.6)."""

LOOPED = ("--set", "routing=balanced", "--set", "looped_ep=4")


def profile(folder: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "dpprof", "profile", "--device", "cuda", "--num-steps", "2"]
    command += [*options, "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overlapped pairs with experts dealt out, and what memory is for."""
    return profile(tmp_path_factory.mktemp("balanced"), *ONE_RANK, *LOOPED, "--memory-history")


def test_the_steady_phase_has_no_hidden_synchronisation(balanced):
    waits = host_waits(read_trace(balanced / "dualpipev" / "rank0.json.gz"))
    assert waits.empty, waits.to_string()


def test_counts_from_the_device_do_wait(tmp_path):
    """The control: without known counts the host waits, once for every dispatch of a forward."""
    folder = profile(tmp_path / "out", *ONE_RANK, "--schedule", "dualpipev", "--num-steps", "1")
    waits = host_waits(read_trace(folder / "dualpipev" / "rank0.json.gz"))
    assert not waits.empty
    assert set(waits["slot"].str.contains("F")) == {True}


def test_pairs_hide_their_all_to_all(balanced):
    pairs, plain = (dpprof.load(balanced / name).report().total for name in ("dualpipev", "1f1b"))
    assert pairs.hidden_share is not None
    assert plain.hidden_share is not None
    assert pairs.hidden_share > plain.hidden_share


def test_memory_is_taken_apart(balanced):
    (rank,) = dpprof.load(balanced / "dualpipev").report().ranks
    memory = rank.memory
    assert memory.peak_allocated_bytes
    assert memory.torch_peak_bytes == pytest.approx(memory.peak_allocated_bytes, rel=0.01)
    parts = ("parameter_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes")
    assert all(getattr(memory, part) for part in parts), memory


def test_ranks_that_share_a_gpu_train_the_same_model(tmp_path):
    sizes = ("--pp", "2", "--micro-batches", "8", "--schedule", "dualpipe", "--layers", "4")
    on_gpu = profile(tmp_path / "gpu", *sizes, "--share-gpus")
    command = [sys.executable, "-m", "dpprof", "profile", "--device", "cpu", *sizes]
    subprocess.run([*command, "--num-steps", "2", "-o", str(tmp_path / "cpu")], check=True)
    losses = [
        json.loads((folder / "dualpipe" / "run.json").read_text())["losses"]
        for folder in (on_gpu, tmp_path / "cpu")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # three updates apart


def test_one_pair_predicts_a_whole_pipeline(balanced):
    costs = str(balanced / "dualpipev")
    command = [sys.executable, "-m", "dpprof", "simulate", "dualpipe", "--pp", "16"]
    command += ["--micro-batches", "64", "--costs", costs, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["step_ns"] > 0
