"""Ranks by the numbers in names, and traces that are not of one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.source.rank_numbers import numbers_in_names


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0.json", "1.json"], [0, 1]),
        (["trace_1.json.gz", "trace_0.json.gz", "trace_2.json.gz"], [1, 0, 2]),
        (["dp0_pp01.json", "dp0_pp00.json"], [1, 0]),
        (["7-TP-0-EP-0.json", "7-TP-1-EP-1.json"], [0, 1]),
        (["7-TP-0-EP-1.json", "7-TP-1-EP-0.json"], None),  # which is it?
        (["host0_77.json", "host1_78.json"], None),  # two numbers differ
        (["step10.json", "step20.json"], None),  # they do not count from 0
        (["a0.json", "b1.json"], None),
        (["1.json", "2.json"], None),
        (["0.json", "x_0_1.json"], None),
        (["0.json"], None),
        ([], None),
    ],
)
def test_numbers_in_names(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_in_names([Path(name) for name in names]) == numbers


def write(build, file: Path, start: float = 0, **header) -> None:
    kernel = type(build.kernel)()
    reduce = kernel("ncclDevKernel_AllReduce", start + 1, start + 2, 5, stream=9)
    build.write(file, [kernel("gemm", start, start + 1, 5), reduce], **header)


def said(run, words: str) -> bool:
    return any(words in warning for warning in run.warnings)


def test_ranks_are_the_numbers_if_nothing_else_says_them(build, tmp_path: Path) -> None:
    for number in (1, 0):
        write(build, tmp_path / f"trace_{number}.json", 0.5 * number)
    run = load_run(tmp_path)
    assert {rank: file.name for rank, file in run.files.items()} == {
        0: "trace_0.json",
        1: "trace_1.json",
    }
    assert said(run, "the numbers in the files' names, 0 to 1, are taken for the ranks")


def test_what_the_trace_says_counts_before_the_number(build, tmp_path: Path) -> None:
    for number in (0, 1):
        info = {"rank": 1 - number, "world_size": 2}
        write(build, tmp_path / f"trace_{number}.json", distributedInfo=info)
    run = load_run(tmp_path)
    assert run.files[0].name == "trace_1.json"
    assert not said(run, "are taken for the ranks")


def test_steps_of_one_rank_are_not_taken_for_ranks(build, tmp_path: Path) -> None:
    for number in (0, 1):
        write(build, tmp_path / f"trace_{number}.json", 1000 * number)
    with pytest.raises(DpprofError, match=r"trace_0\.json: neither .* follow one another in time"):
        load_run(tmp_path)


def test_traces_of_different_jobs_are_told(build, tmp_path: Path) -> None:
    for rank, size in ((0, 2), (1, 2), (2, 4)):
        info = {"rank": rank, "world_size": size}
        write(build, tmp_path / f"rank{rank}.json", distributedInfo=info)
    run = load_run(tmp_path)
    assert said(run, "different jobs: the world has 2 ranks by rank 0, 1; 4 ranks by rank 2;")


def test_traces_of_different_times_are_told(build, tmp_path: Path) -> None:
    for rank in (0, 1):
        info = {"rank": rank, "world_size": 2}
        write(build, tmp_path / f"rank{rank}.json", 1e9 * rank, distributedInfo=info)
    assert said(load_run(tmp_path), "no instant in common")
    assert not said(load_run(tmp_path / "rank0.json"), "no instant in common")
