"""Exposure seen by operation, by layer and micro-batch, and as distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.data.exposure_tables import (
    BY,
    MOST_COLUMNS,
    MOST_ROWS,
    by_operation,
    layer_grid,
    spread,
)
from dpprof.tables.columns import EXPOSURE, empty_table, make_table


def rows(*many: dict[str, Any]) -> Any:
    """Operations of a dispatch of rank 0; `total` and `hidden` say how long."""
    whole = [
        {"rank": 0, "kind": "dispatch", "count": 1, "total_ns": 10, "hidden_ns": 0} | row
        for row in many
    ]
    names = {name for row in whole for name in row}
    missing = {name: -1 if EXPOSURE[name].startswith("int") else "" for name in names}
    values = {name: [row.get(name, missing[name]) for row in whole] for name in names}
    table = make_table(EXPOSURE, values)
    return table.assign(exposed_ns=table.total_ns - table.hidden_ns)


def test_operations_alike_are_added_up_the_most_exposed_first() -> None:
    table = rows(
        {"operation": "F", "part": "F", "name": "a", "hidden_ns": 4, "layer": 0},
        {"operation": "F", "part": "F", "name": "b", "hidden_ns": 10, "layer": 1},
        {"operation": "F&B", "part": "I", "hidden_ns": 2},
        {"kind": "combine", "operation": "B", "total_ns": 3},
    )
    found = by_operation(table)
    assert found.to_numpy().tolist() == [
        ["dispatch, I in F&B", "dispatch", 1, 10, 2, 8],
        ["dispatch, F", "dispatch", 2, 20, 14, 6],
        ["combine, B", "combine", 1, 3, 0, 3],
    ]


def test_without_labels_kernels_are_told_apart_by_their_whole_names() -> None:
    long = "a::b::" + 60 * "x"
    table = rows(
        {"name": f"void {long}<1>(int)", "hidden_ns": 4},
        {"name": f"void {long}<2>(int)", "hidden_ns": 2},
        {"name": f"void {long}<2>(int)", "hidden_ns": 2},
        {"name": "ncclDevKernel_SendRecv(x)", "kind": "p2p", "hidden_ns": 9},
    )
    found = by_operation(table)
    assert found["label"].nunique() == 3
    assert found.drop(columns="label").to_numpy().tolist() == [
        ["dispatch", 2, 20, 4, 16],
        ["dispatch", 1, 10, 4, 6],
        ["p2p", 1, 10, 9, 1],
    ]


def test_a_grid_has_a_cell_for_each_layer_and_micro_batch() -> None:
    grid = layer_grid(
        rows(
            {"stage": 1, "layer": 0, "direction": 0, "micro_batch": 2, "hidden_ns": 3},
            {"stage": 1, "layer": 0, "direction": 0, "micro_batch": 2, "hidden_ns": 4},
            {"stage": 0, "layer": 1, "direction": 1, "micro_batch": 0, "hidden_ns": 10},
            {"stage": 0, "layer": -1, "direction": 1, "micro_batch": 0},
        )
    )
    assert grid is not None
    assert (grid.rows, grid.columns) == (["stage 0, layer 1", "stage 1, layer 0"], ["0.2", "1.0"])
    assert grid.total.tolist() == [[0, 10], [20, 0]]
    assert grid.exposed.tolist() == [[0, 0], [13, 0]]


def test_joined_layers_say_their_stage_once() -> None:
    count = MOST_ROWS + 2
    grid = layer_grid(rows(*[{"stage": one // 3, "layer": one % 3} for one in range(count)]))
    assert grid is not None
    assert grid.rows[:2] == ["stage 0, layer 0 to 1", "stage 0, layer 2 to stage 1, layer 0"]


def test_what_says_only_one_of_the_two_still_has_a_place() -> None:
    layers = layer_grid(rows({"layer": 0}, {"layer": 1}))
    assert layers is not None
    assert (layers.rows, layers.columns) == (["layer 0", "layer 1"], ["not said"])
    batches = layer_grid(rows({"micro_batch": 3, "stage": 2}))
    assert batches is not None
    assert (batches.rows, batches.columns) == (["stage 2"], ["3"])


def test_nothing_said_is_no_grid() -> None:
    assert layer_grid(rows({})) is None
    assert layer_grid(empty_table(EXPOSURE)) is None


@given(
    layers=st.integers(1, 2 * MOST_ROWS + 3),
    batches=st.integers(1, 2 * MOST_COLUMNS + 3),
)
def test_a_large_grid_joins_neighbours_and_loses_nothing(layers: int, batches: int) -> None:
    table = rows(
        *[{"layer": layer, "micro_batch": 0, "direction": 0} for layer in range(layers)],
        *[{"layer": 0, "micro_batch": one, "direction": 0} for one in range(batches)],
    )
    grid = layer_grid(table)
    assert grid is not None
    assert len(grid.rows) == grid.total.shape[0] <= MOST_ROWS
    assert len(grid.columns) == grid.total.shape[1] <= MOST_COLUMNS
    assert grid.total.sum() == table.total_ns.sum()
    assert grid.grouped == (-(-layers // MOST_ROWS), -(-batches // MOST_COLUMNS))
    assert grid.rows[0].startswith("layer 0")
    assert grid.rows[-1].endswith(f" {layers - 1}")
    assert grid.columns[-1].endswith(f"0.{batches - 1}")


@given(shares=st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_a_spread_has_the_quartiles_of_the_shares(shares: list[int]) -> None:
    table = rows(*[{"stage": 3, "total_ns": 20, "hidden_ns": one} for one in shares])
    (found,) = spread(table, "stage").to_dict("records")
    expected = np.quantile(np.array(shares) / 20, [0, 0.25, 0.5, 0.75, 1])
    assert (found["label"], found["count"]) == ("3", len(shares))
    names = ["least", "lower", "median", "upper", "most"]
    assert [found[name] for name in names] == pytest.approx(expected)


def test_a_spread_is_in_order_and_leaves_out_what_says_nothing() -> None:
    table = rows(
        {"stage": 10, "layer": 2},
        {"stage": 9, "layer": 0},
        {"stage": 9, "layer": -1},
        {"stage": 9, "layer": 1, "total_ns": 0},
    )
    assert list(spread(table, "stage").label) == ["9", "10"]
    assert list(spread(table, "layer").label) == ["stage 9, layer 0", "stage 10, layer 2"]
    assert list(spread(table, "micro-batch").label) == ["not said"]


@pytest.mark.parametrize("by", BY)
def test_nothing_communicated_has_no_spread(by: str) -> None:
    assert len(spread(empty_table(EXPOSURE), by)) == 0
