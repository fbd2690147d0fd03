"""Ranks in the order in which the timeline draws them: groups, and pinned ones first."""

from __future__ import annotations

import pytest

from dpprof.dashboards.timeline.rank_order import GROUPINGS, arranged, group_choices
from dpprof.runs.manifest import RankPlace

# PP 2, EP 2, DP 2, ranks in that order; two stages a rank as in DualPipe.
PLACES = [
    RankPlace(
        rank=rank,
        pp_rank=rank % 2,
        ep_rank=rank // 2 % 2,
        dp_rank=rank // 4,
        stages=[rank % 2, 1 - rank % 2],
    )
    for rank in range(8)
]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("", {"": [0, 1, 2, 3, 4, 5, 6, 7]}),
        ("stage", {"stage 0 and 1": [0, 2, 4, 6], "stage 1 and 0": [1, 3, 5, 7]}),
        (
            "ep",
            {
                "EP group of PP 0, DP 0": [0, 2],
                "EP group of PP 1, DP 0": [1, 3],
                "EP group of PP 0, DP 1": [4, 6],
                "EP group of PP 1, DP 1": [5, 7],
            },
        ),
        (
            "dp",
            {
                "DP group of PP 0, EP 0": [0, 4],
                "DP group of PP 1, EP 0": [1, 5],
                "DP group of PP 0, EP 1": [2, 6],
                "DP group of PP 1, EP 1": [3, 7],
            },
        ),
        ("eights", {"ranks 0 to 7": [0, 1, 2, 3, 4, 5, 6, 7]}),
    ],
)
def test_ranks_stand_in_their_groups(by, groups):
    assert arranged(PLACES, by, ()) == groups
    assert by in [name for name, _ in GROUPINGS]


def test_pinned_ranks_come_first_and_once():
    assert arranged(PLACES[:4], "stage", (3, 2, 9)) == {
        "pinned": [2, 3],
        "stage 0 and 1": [0],
        "stage 1 and 0": [1],
    }


def test_groups_to_choose_are_neither_single_ranks_nor_all():
    choices = dict(group_choices(PLACES))
    assert choices["0,2,4,6"] == "stage 0 and 1"
    assert choices["0,4"] == "DP group of PP 0, EP 0"
    assert "0-7" not in choices
    assert group_choices(PLACES[:1]) == []
