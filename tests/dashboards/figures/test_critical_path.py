"""What the figures of the critical path draw."""

from __future__ import annotations

from dpprof.dashboards.detail.path import path_bars
from dpprof.dashboards.figures.critical_path import path_figure, rank_shares
from dpprof.dashboards.parts.zoom import zoomed
from dpprof.dashboards.view.theme import DARK, LIGHT
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.columns import PATH, make_table

MS = TimeUnit("ms", 10**6)
PIECES = {
    "rank": [5, 7, 7],
    "start_ns": [10**6, 4 * 10**6, 6 * 10**6],
    "end_ns": [4 * 10**6, 6 * 10**6, 11 * 10**6],
    "kind": ["compute", "p2p", "compute"],
    "slot": ["F0.1", "", "B0.1"],
    "name": ["attention(F) <1>", "recv", "mlp"],
    "why": ["a peer waited for it", "", "the last of the step to end"],
}


def test_a_path_is_bars_by_kind_and_a_line_from_one_to_the_next() -> None:
    path = make_table(PATH, {"step": 0, **PIECES})
    bars = path_bars(path, (10**6, 11 * 10**6), 1000)
    line, *kinds = path_figure(bars, 10**6, (0, 10**7), LIGHT, MS).data
    assert list(line.x) == [0, 3, 3, 5, 5, 10]
    assert list(line.y) == [0, 0, 1, 1, 1, 1]
    assert [one.name for one in kinds] == ["compute", "p2p"]
    assert [list(one.base) for one in kinds] == [[0, 5], [3]]
    assert [list(one.x) for one in kinds] == [[3, 5], [2]]
    assert [list(one.y) for one in kinds] == [[0, 1], [1]]
    assert kinds[0].customdata[0] == "rank 5 F0.1<br>attention(F) &lt;1&gt;<br>a peer waited for it"
    assert kinds[0].marker.pattern.shape != kinds[1].marker.pattern.shape


def test_bars_too_short_to_show_a_pattern_have_none_but_the_legends() -> None:
    edges = [0, 10, 20, 9000]
    made = {"rank": 0, "start_ns": edges[:-1], "end_ns": edges[1:], "kind": "p2p"}
    bars = path_bars(make_table(PATH, {"step": 0, **made}), (0, 10**4), 10**4)
    bars_of_kind = path_figure(bars, 0, (0, 10**4), LIGHT, MS).data[1]
    assert [bool(one) for one in bars_of_kind.marker.pattern.shape] == [True, False, True]


def test_the_axis_names_the_ranks_on_the_path_and_shows_the_span() -> None:
    path = make_table(PATH, {"step": 0, **PIECES})
    bars = path_bars(path, (5 * 10**6, 8 * 10**6), 1000)
    layout = path_figure(bars, 10**6, (4 * 10**6, 7 * 10**6), DARK, MS).layout
    assert list(layout.yaxis.ticktext) == ["7"]
    assert list(layout.xaxis.range) == [4, 7]


def test_the_path_by_rank_is_per_step() -> None:
    figure = rank_shares([("a", {3: 8 * 10**6, 0: 2 * 10**6}, 2)], LIGHT, MS)
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([0, 3], [1, 4])


def test_a_zoom_becomes_a_range_within_the_step() -> None:
    meta = {"nanoseconds": 10**6, "window_ns": 9 * 10**6}
    axis = {"xaxis.range[0]": 1.5, "xaxis.range[1]": 3.25}
    assert zoomed(axis, meta) == "1500000-3250000"
    assert zoomed({"xaxis.range[0]": -4, "xaxis.range[1]": 12.0}, meta) == "0-9000000"
    assert zoomed({"xaxis.autorange": True}, meta) == ""
    assert zoomed({"xaxis.range[0]": 10, "xaxis.range[1]": 12.0}, meta) is None
    assert zoomed({"autosize": True}, meta) is None
    assert zoomed(None, meta) is None
