"""The same run as Kineto and as Nsight Systems write it gives the same report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run
from tests.trace.nsys.twin import pipeline

SAYS_HOW = {"name", "warnings", "evidence"}


def figures(folder: Path) -> dict[str, Any]:
    report = msgspec.to_builtins(analyze(load_run(folder)))
    return {name: value for name, value in report.items() if name not in SAYS_HOW}


@pytest.mark.parametrize("seed", range(3))
def test_both_forms_give_one_report(seed: int, tmp_path: Path) -> None:
    kineto, nsys = (figures(folder) for folder in pipeline(seed).write(tmp_path))
    assert kineto == nsys
    total = nsys["total"]
    assert total["wait_ns"] > 0
    assert total["unsplit_ns"] == 0
    assert total["blocking_ns"] > 0
    assert len(nsys["per_step"]) == 2


def test_two_exports_are_compared(tmp_path: Path) -> None:
    runs = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        runs.append(load_run(pipeline(seed).write(folder)[1]))
    diff = diff_runs(*runs)
    before, after = (analyze(run).total.window_ns for run in runs)
    assert diff.time.change_ns == after - before
    assert diff.time.change_ns != 0
