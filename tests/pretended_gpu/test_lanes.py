"""The real lanes, streams and words to the allocator order every use of memory."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("pp", "rank"), [(1, 0), (4, 0), (4, 1), (4, 2), (4, 3)])
def test_no_rank_races(gpu, pp, rank):
    found = gpu.ask("races", "none", str(pp), str(rank))
    assert found["races"] == 0
    assert found["crossings"] > 100


@pytest.mark.parametrize("mutant", ["keep", "wait", "early"])
def test_planted_bugs_are_found(gpu, mutant):
    assert gpu.ask("races", mutant, "1", "0")["races"] > 20


def test_products_are_told_to_leave_multiprocessors(gpu):
    told = gpu.ask("limits")
    assert told["cublas"] == 1
    assert told["carveout"] == 20
    assert told["library"].lower().endswith("cublaslt")
