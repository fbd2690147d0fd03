"""Long all-to-alls without a word of their group: of all ranks, or of several smaller groups?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run

NAME = "ncclDevKernel_SendRecv(ncclDevComm*, unsigned long, ncclWork*)"
MILLISECOND = 1000


def report_of(build, folder: Path, spans: list[tuple[float, float]]) -> Any:
    """Of ranks that do one all-to-all each, from one time to another, in milliseconds."""
    for rank, (start, end) in enumerate(spans):
        start, end = start * MILLISECOND, end * MILLISECOND
        said = {"Collective name": "all_to_allv", "In msg nelems": 8, "dtype": "Float"}
        events = [
            build.step(1, 1, 2_000 * MILLISECOND),
            build.kernel(NAME, 2, start, end - start, **said),
        ]
        info = {"rank": rank, "world_size": len(spans)}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    return analyze(load_run(folder))


@pytest.mark.parametrize(
    "spans",
    [
        [(10, 110), (20, 110), (40, 111), (55, 111)],  # two groups that end 1 ms apart
        [(10, 500), (20, 500), (400, 504), (290, 504)],
        [(10, 210.5), (200, 210.5), (20, 210.7), (30, 210.7)],
    ],
)
def test_groups_that_end_nearly_together_are_not_taken_for_one(build, tmp_path, spans) -> None:
    report = report_of(build, tmp_path, spans)
    assert [rank.wait_ns for rank in report.ranks] == [None] * 4


def test_one_whose_last_rank_comes_a_second_late_ends_on_all_a_little_apart(
    build, tmp_path
) -> None:
    """As in torchrec's example: transfers of 12 ms whose ends are 0.1 ms apart."""
    report = report_of(build, tmp_path, [(10, 1022), (20, 1022.05), (1010, 1022.11), (15, 1022.02)])
    waits = [rank.wait_ns for rank in report.ranks]
    assert waits == [1000_000_000, 990_000_000, 0, 995_000_000]
