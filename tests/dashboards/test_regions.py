"""Bubble regions of a step: sorted, put in bins, added up between ranks and by cause."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpprof.analysis.accounting.bubble_regions import region_figures
from dpprof.dashboards.data.bubble_regions import (
    by_cause,
    idle_shares,
    step_regions,
    waited_matrix,
    window_of,
)
from dpprof.tables.columns import REGIONS, make_table


def regions(*rows: tuple[Any, ...]) -> Any:
    """Rows (rank, start, end, state, cause rank), the longest first, with their lengths."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    names = ("rank", "start_ns", "end_ns", "state", "cause_rank")
    values: dict[str, Any] = {name: list(one) for name, one in zip(names, columns, strict=True)}
    phases = {"bubble.warmup": "warmup", "bubble.cooldown": "cooldown"}
    values["phase"] = [phases.get(state, "steady") for state in values["state"]]
    table = make_table(REGIONS, values)
    return table.assign(length_ns=table.end_ns - table.start_ns)


def test_the_regions_of_a_step_come_longest_first(library) -> None:
    run = library.get("dualpipe")
    step = run.report.per_step[-1].step
    table = step_regions(library, run, step)
    start, end = window_of(run, step)
    listed = [one for one in run.report.regions if one.step == step]
    expected = sorted(listed, key=lambda one: (-one.length_ns, one.start_ns))
    found = region_figures(table, {step: start})
    assert [one.length_ns for one in found] == [one.length_ns for one in expected]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert end - start == run.report.per_step[-1].window_ns
    assert step_regions(library, run, step) is table


def test_a_step_that_is_not_there_has_no_regions_and_no_window(library) -> None:
    run = library.get("dualpipe")
    assert len(step_regions(library, run, None)) == 0
    assert window_of(run, None) == (0, 0)


def test_a_matrix_says_who_waits_for_whom() -> None:
    table = regions(
        (4, 0, 10, "bubble.dependency", 7),
        (4, 20, 25, "bubble.straggler", 7),
        (7, 0, 3, "bubble.warmup", 4),
        (7, 5, 9, "bubble.host", -1),
        (7, 9, 10, "bubble.straggler", 99),
        (5, 0, 100, "bubble.straggler", 7),
    )
    assert waited_matrix(table, [4, 7]).tolist() == [[0, 15], [3, 0]]


def test_causes_are_in_the_order_of_the_step_then_of_their_length() -> None:
    table = regions(
        (0, 0, 5, "bubble.cooldown", -1),
        (0, 5, 7, "bubble.host", -1),
        (1, 0, 4, "bubble.straggler", 0),
        (2, 6, 9, "bubble.straggler", 0),
        (0, 9, 10, "bubble.warmup", 1),
    )
    names = ["phase", "state", "cause_rank", "count", "length_ns"]
    assert by_cause(table)[names].to_numpy().tolist() == [
        ["warmup", "bubble.warmup", 1, 1, 1],
        ["steady", "bubble.straggler", 0, 2, 7],
        ["steady", "bubble.host", -1, 1, 2],
        ["cooldown", "bubble.cooldown", -1, 1, 5],
    ]


@given(
    spans=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(1, 9)), max_size=6),
    bins=st.integers(1, 7),
)
def test_shares_of_bins_against_counting_nanoseconds(spans: Any, bins: int) -> None:
    taken: set[tuple[int, int]] = set()
    rows = []
    for rank, start, length in spans:
        covered = {(rank, instant) for instant in range(10 * start, 10 * start + length)}
        if not covered & taken:
            taken |= covered
            rows.append((rank, 10 * start, 10 * start + length, "bubble.other", -1))
    edges = np.linspace(0, 100, bins + 1).astype(np.int64)
    shares = idle_shares(regions(*rows), [0, 1], edges)
    expected = [
        [
            sum((rank, instant) in taken for instant in range(low, high)) / (high - low)
            for low, high in pairwise(edges)
        ]
        for rank in (0, 1)
    ]
    assert np.allclose(shares, expected)
