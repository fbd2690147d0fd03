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


def test_products_take_all_multiprocessors_unless_told(gpu):
    """By torch's own launches: a persistent kernel has a block for each that it may take."""
    took = gpu.ask("limits", "none")["products"]
    assert took["112"] == took["grouped 112"] == 0
    assert took["132"] > 50
    assert took["grouped 132"] > 20


def test_products_leave_multiprocessors_where_they_are_told_to(gpu):
    told = gpu.ask("limits", "products")
    took = told["products"]
    assert took["132"] == took["grouped 132"] == 0
    assert took["112"] > 50
    assert took["grouped 112"] > 20
    assert told["cublas"] == 1
    assert told["carveout"] == 20
    assert told["library"].lower().endswith("cublaslt")
