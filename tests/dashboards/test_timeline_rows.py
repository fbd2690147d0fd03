"""Rows lie beneath each other without overlaps, and a height leads back to its row."""

from __future__ import annotations

import pytest

from dpprof.dashboards.timeline.picture_rows import GROUP_PX, LABEL_PX, LaneGroup, make_rows

LANES = [(0, "slots"), (1, "compute"), (2, "communication"), (3, "p2p"), (4, "bubbles")]


def groups(ranks, runs=("a",)):
    return [LaneGroup(run, rank, LANES) for run in runs for rank in range(ranks)]


def test_rows_from_top_to_bottom():
    rows = make_rows(groups(2, ("a", "b")))
    assert [(row.run, row.rank, row.name) for row in rows.rows] == [
        (run, rank, name) for run in "ab" for rank in (0, 1) for _, name in LANES
    ]
    edges = [edge for row in rows.rows for edge in (row.top, row.bottom)]
    assert edges == sorted(edges)
    assert rows.rows[-1].bottom <= rows.height
    assert rows.headers["a"] == 0
    assert rows.headers["b"] >= rows.rows[9].bottom


@pytest.mark.parametrize("ranks", [1, 2, 8, 16, 32, 64, 128])
def test_slots_of_any_number_of_ranks_have_room_for_their_names(ranks):
    rows = make_rows(groups(ranks))
    assert len(list(rows.ranks())) == ranks
    assert all(row.bottom - row.top >= LABEL_PX for row in rows.rows if row.name == "slots")
    low = make_rows(groups(ranks), "compact")
    assert low.height < rows.height < make_rows(groups(ranks), "tall").height
    assert [row.name for row in low.rows] == [row.name for row in rows.rows]


@pytest.mark.parametrize(("ranks", "runs"), [(1, "a"), (2, "ab"), (8, "a")])
def test_rows_that_fit_fill_the_window_and_not_more(ranks, runs):
    rows = make_rows(groups(ranks, runs), "fit", 800)
    assert rows.height <= 800
    normal = make_rows(groups(ranks, runs), "normal", 800)
    lanes = len(rows.rows)
    assert rows.height > min(800 - 2 * lanes, 3 * (normal.height - 22 * len(runs)))


def test_groups_of_ranks_have_a_line_that_names_them():
    labelled = [one._replace(label="even" if one.rank % 2 == 0 else "odd") for one in groups(4)]
    labelled.sort(key=lambda one: one.label)
    rows = make_rows(labelled)
    assert [text for _, text in rows.labels] == ["even", "odd"]
    assert [rank for _, rank, _, _ in rows.ranks()] == [0, 2, 1, 3]
    assert rows.labels[1][0] >= rows.rows[9].bottom
    assert rows.rows[10].top == rows.labels[1][0] + GROUP_PX


def test_two_runs_of_eight_ranks_above_their_ideals_all_have_slots():
    rows = make_rows(groups(8, ("a", "a~ideal", "b", "b~ideal")))
    assert len([row for row in rows.rows if row.name == "slots"]) == 32


def test_every_pixel_of_a_row_leads_to_it():
    rows = make_rows(groups(8))
    for row in rows.rows:
        assert rows.at(row.top) == row
        assert rows.at(row.bottom - 0.01) == row
    assert rows.at(0) is None  # the header
    assert rows.at(rows.height + 50) is None


def test_lanes_are_found_by_name_and_ranks_by_their_first_row():
    rows = make_rows(groups(2, ("a", "b")))
    assert rows.find("b", 1, "compute") == rows.rows[16]
    assert rows.find("b", 1, "stream 9") == rows.rows[15]
    assert rows.find("c", 1, "compute") is None
    assert rows.find("a", 7, "compute") is None


def test_no_rank_no_rows():
    assert make_rows([]).rows == ()
