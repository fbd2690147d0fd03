"""Rows lie beneath each other without overlaps, and a height leads back to its row."""

from __future__ import annotations

import pytest

from dpprof.dashboards.timeline.picture_rows import LaneGroup, heights_for, make_rows

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


@pytest.mark.parametrize("ranks", [1, 2, 4, 8, 16, 32, 64, 128])
def test_more_ranks_have_lower_rows_and_many_fit_on_a_few_screens(ranks):
    rows = make_rows(groups(ranks))
    assert rows.height <= 1080 * max(1, ranks / 64)
    assert len(list(rows.ranks())) == ranks
    assert {"compute", "communication", "bubbles"} <= {row.name for row in rows.rows}
    assert sum(heights_for(ranks)) >= sum(heights_for(ranks + 1))


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
