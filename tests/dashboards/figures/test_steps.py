"""What the figures of steps draw, against figures worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from dpprof.analysis.report.analyze import analyze
from dpprof.dashboards.figures.step_matrix import METRICS, MOST_RANKS, step_matrix
from dpprof.dashboards.figures.steps import rank_spread, rank_steps, step_times
from dpprof.dashboards.view.theme import DARK, LIGHT

MS = 1_000_000


def test_a_matrix_has_a_row_per_rank_and_a_column_per_step(two_steps: Any) -> None:
    matrix = step_matrix(analyze(two_steps), METRICS["compute"])
    assert (matrix.ranks, matrix.steps, matrix.left_out) == ((0, 1), (1, 2), (0, 0))
    assert (matrix.values / MS).tolist() == [[30, 40], [10, 20]]
    assert (step_matrix(analyze(two_steps), METRICS["bubble"]).values / MS).tolist() == [
        [0, 0],
        [20, 20],
    ]


def test_ranks_can_be_chosen(two_steps: Any) -> None:
    matrix = step_matrix(analyze(two_steps), METRICS["compute"], [1, 7])
    assert (matrix.ranks, (matrix.values / MS).tolist()) == ((1,), [[10, 20]])


def test_what_is_not_known_is_no_number(two_steps: Any) -> None:
    matrix = step_matrix(analyze(two_steps), METRICS["memory"])
    assert not matrix.known
    assert np.isnan(matrix.values).all()
    assert [list(row) for row in rank_steps(matrix, LIGHT).data[0].z] == [[None, None]] * 2


def test_of_too_many_ranks_those_that_differ_are_kept(build: Any) -> None:
    rows = [{"rank": rank, "start_ns": 0, "end_ns": 10} for rank in range(MOST_RANKS + 20)]
    rows[140]["end_ns"] = 30
    matrix = step_matrix(analyze(build(rows)), METRICS["compute"])
    assert len(matrix.ranks) == MOST_RANKS
    assert matrix.left_out == (20, 0)
    assert 140 in matrix.ranks
    assert list(matrix.ranks) == sorted(matrix.ranks)


def test_the_parts_of_a_bar_add_up_to_its_step(two_steps: Any) -> None:
    report = analyze(two_steps)
    figure = step_times([("a", report), ("b", report)], DARK)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert {bar.name: list(bar.y) for bar in bars} == {
        "compute_only": [20, 30, 20, 30],
        "bubble: warmup": [10, 10, 10, 10],
    }
    assert [list(axis) for axis in bars[0].x] == [
        ["a", "a", "b", "b"],
        ["step 1", "step 2", "step 1", "step 2"],
    ]
    texts = figure.data[-1]
    assert (list(texts.y), list(texts.text)) == ([30, 40, 30, 40], ["30.00", "40.00"] * 2)
    assert np.sum([bar.y for bar in bars], axis=0).tolist() == list(texts.y)


def test_spread_marks_the_mean_and_reaches_to_the_extremes(two_steps: Any) -> None:
    matrix = step_matrix(analyze(two_steps), METRICS["compute"])
    mark = rank_spread([("a", matrix)], LIGHT).data[0]
    assert (list(mark.x), list(mark.customdata), list(mark.y)) == ([0, 1], [0, 1], [35, 15])
    assert list(mark.error_y.array) == list(mark.error_y.arrayminus) == [5, 5]


def test_marks_of_several_runs_stand_beside_each_other(two_steps: Any) -> None:
    matrix = step_matrix(analyze(two_steps), METRICS["compute"])
    first, second = rank_spread([("a", matrix), ("b", matrix)], LIGHT).data
    assert np.allclose(np.array(second.x) - np.array(first.x), 0.12)
    assert first.marker.symbol != second.marker.symbol


def test_a_heat_map_has_the_numbers_of_the_matrix(two_steps: Any) -> None:
    figure = rank_steps(step_matrix(analyze(two_steps), METRICS["compute"]), LIGHT)
    heat = figure.data[0]
    assert (list(heat.x), list(heat.y)) == (["1", "2"], ["0", "1"])
    assert [list(row) for row in heat.z] == [[30, 40], [10, 20]]
    assert heat.texttemplate == "%{z:,.2f}"


def test_heat_maps_beside_each_other_have_one_scale(two_steps: Any) -> None:
    report = analyze(two_steps)
    ranks = [step_matrix(report, METRICS["compute"], [rank]) for rank in (0, 1)]
    scales = [rank_steps(one, LIGHT, ranks).data[0] for one in ranks]
    assert [(heat.zmin, heat.zmax) for heat in scales] == [(10, 40), (10, 40)]


def test_ranks_that_no_run_has_take_no_room(build: Any) -> None:
    rows = [{"rank": rank, "start_ns": 0, "end_ns": MS} for rank in (3, 34)]
    matrix = step_matrix(analyze(build(rows)), METRICS["compute"])
    figure = rank_spread([("a", matrix)], LIGHT)
    assert list(figure.data[0].x) == [0, 1]
    assert figure.layout.xaxis.ticktext == ("3", "34")
