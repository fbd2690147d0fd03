"""Ranks of a job capture without a word to each other: none waits, none is overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="capturing needs torch")

from dpprof.runs.manifest import read_manifest
from dpprof.trace.load import load_run

WORKER = Path(__file__).with_name("capture_worker.py")
SIZE = 2
WHOLE = ["rank0.json.gz", "rank1.json.gz", "run.json"]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> Path:
    """The folders of all jobs, run once: importing torch takes the longest."""
    folder = tmp_path_factory.mktemp("jobs")
    subprocess.run([sys.executable, str(WORKER), str(folder)], check=True, timeout=240)
    return folder


def codes(folder: Path) -> list[int]:
    return json.loads((folder / "codes.json").read_bytes())


def names(folder: Path) -> list[str]:
    """What is there of captures, beside what the job itself leaves."""
    left = ("codes.json", "store", "said0", "said1")
    return sorted(one.name for one in folder.iterdir() if one.name not in left)


@pytest.mark.parametrize("how", ["destroyed", "no init", "one raises"])
def test_every_rank_writes_its_own_and_the_reader_joins_them(jobs, how):
    assert codes(jobs / how) == [0, 1 if how == "one raises" else 0]
    assert names(jobs / how / "run") == WHOLE
    run = load_run(jobs / how / "run")
    assert (run.world_size, [place.rank for place in run.places]) == (SIZE, [0, 1])
    assert not any("missing" in warning for warning in run.warnings)


@pytest.mark.parametrize("how", ["rank 0 alone", "too few"])
def test_nobody_waits_for_a_rank_that_captures_nothing(jobs, how):
    assert codes(jobs / how) == [0, 0]
    kept = [name for name in names(jobs / how / "run") if not name.startswith(".")]
    assert kept == ["rank0.json.gz", "run.json"]
    run = load_run(jobs / how / "run")
    assert run.world_size == SIZE
    assert any("one rank is missing of 2 (1)" in one.text for one in run.evidence)


def test_a_job_that_is_terminated_writes_what_is_complete_and_ends_by_the_signal(jobs):
    assert codes(jobs / "terminated") == [-15, -15]
    assert names(jobs / "terminated" / "run") == WHOLE


def test_processes_that_know_no_rank_never_overwrite_each_other(jobs):
    own = jobs / "no rank"
    assert codes(own) == [0, 0]
    assert names(own) == ["run", "run-2"]
    said = [(own / f"said{rank}").read_text() for rank in range(SIZE)]
    assert sum("goes to" in text for text in said) == 1
    for folder in ("run", "run-2"):
        assert read_manifest(own / folder / "run.json").world_size == 1
        assert names(own / folder) == ["rank0.json.gz", "run.json"]


def test_a_job_that_is_started_again_writes_beside_the_first(jobs):
    own = jobs / "started again"
    assert names(own / "run") == names(own / "run-2") == WHOLE
