"""Ranks of a job capture without a word to each other: none waits, none is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="capturing needs torch")

from dpprof.runs.manifest import read_manifest
from dpprof.trace.load import load_run

WORKER = Path(__file__).with_name("capture_worker.py")
SIZE = 2


def job(folder: Path, how: str, *, ranks: bool = True) -> list[tuple[int, str]]:
    """Exit code and stderr of every rank."""
    processes = []
    for rank in range(SIZE):
        own = {"RANK": str(rank), "WORLD_SIZE": str(SIZE)} if ranks else {}
        command = [sys.executable, str(WORKER), str(folder), how]
        environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
        processes.append(
            subprocess.Popen(command, env=environment | own, stderr=subprocess.PIPE, text=True)
        )
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


WHOLE = ["rank0.json.gz", "rank1.json.gz", "run.json"]


@pytest.mark.parametrize("how", ["destroyed", "no init", "one raises"])
def test_every_rank_writes_its_own_and_the_reader_joins_them(tmp_path, how):
    codes = [code for code, _ in job(tmp_path, how)]
    assert codes == [0, 1 if how == "one raises" else 0]
    assert names(tmp_path / "run") == WHOLE
    run = load_run(tmp_path / "run")
    assert (run.world_size, [place.rank for place in run.places]) == (SIZE, [0, 1])
    assert not any("missing" in warning for warning in run.warnings)


@pytest.mark.parametrize("how", ["rank 0 alone", "too few"])
def test_nobody_waits_for_a_rank_that_captures_nothing(tmp_path, how):
    assert [code for code, _ in job(tmp_path, how)] == [0, 0]
    kept = [name for name in names(tmp_path / "run") if not name.startswith(".")]
    assert kept == ["rank0.json.gz", "run.json"]
    run = load_run(tmp_path / "run")
    assert run.world_size == SIZE
    assert any("one rank is missing of 2 (1)" in one.text for one in run.evidence)


def test_a_job_that_is_terminated_writes_what_is_complete_and_ends_by_the_signal(tmp_path):
    assert [code for code, _ in job(tmp_path, "terminated")] == [-15, -15]
    assert names(tmp_path / "run") == WHOLE


def test_processes_that_know_no_rank_never_overwrite_each_other(tmp_path):
    said = job(tmp_path, "no rank", ranks=False)
    assert [code for code, _ in said] == [0, 0]
    assert names(tmp_path) == ["run", "run-2"]
    assert sum("goes to" in text for _, text in said) == 1
    for folder in ("run", "run-2"):
        assert read_manifest(tmp_path / folder / "run.json").world_size == 1
        assert names(tmp_path / folder) == ["rank0.json.gz", "run.json"]


def test_a_job_that_is_started_again_writes_beside_the_first(tmp_path):
    for number in range(2):
        (tmp_path / "store").unlink(missing_ok=True)
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)
        try:
            job(tmp_path, "no init")
        finally:
            del os.environ["TORCHELASTIC_RESTART_COUNT"]
    assert names(tmp_path / "run") == names(tmp_path / "run-2") == WHOLE
