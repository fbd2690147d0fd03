from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.tables.columns import EVENTS, make_table
from dpprof.trace.match.bare_order import match_by_order
from dpprof.trace.match.operations import OperationPeers, match_groups

COLUMNS = ("rank", "step", "start_ns", "end_ns", "kind", "group", "sequence")


def table(*rows):
    return make_table(EVENTS, dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))


def everyone(size, groups=None):
    return OperationPeers(tuple(range(size)), size, {rank: groups or {} for rank in range(size)})


def test_a_message_is_ready_when_the_later_side_starts() -> None:
    events = table(
        (0, 1, 10, 40, "p2p", "0>1", 0),
        (1, 1, 25, 41, "p2p", "0>1", 0),
        (0, 1, 50, 60, "p2p", "0>1", 1),
        (1, 2, 55, 66, "p2p", "0>1", 1),
        (0, 1, 70, 80, "p2p", "1>0", 0),
        (0, 1, 0, 9, "compute", "", -1),
    )
    assert match_groups(events, everyone(2)).tolist() == [25, 25, -1, -1, -1, -1]


def test_several_rows_of_one_rank_are_one_participant() -> None:
    events = table(
        (0, 0, 10, 20, "dispatch", "ep.0", 0),
        (0, 0, 30, 40, "dispatch", "ep.0", 0),
        (1, 0, 15, 40, "dispatch", "ep.0", 0),
    )
    assert match_groups(events, everyone(2)).tolist() == [15, 15, 15]


def test_kinds_and_unnumbered_rows_do_not_mix() -> None:
    events = table(
        (0, 0, 10, 20, "dispatch", "ep.0", 0),
        (1, 0, 15, 40, "combine", "ep.0", 0),
        (0, 0, 10, 20, "all_reduce", "dp", -1),
        (1, 0, 15, 40, "all_reduce", "dp", -1),
        (0, -1, 10, 20, "all_reduce", "dp", 0),
        (1, -1, 15, 40, "all_reduce", "dp", 0),
    )
    assert match_groups(events, everyone(2)).tolist() == [-1] * 6


def test_groups_of_one_name_with_other_members_are_different() -> None:
    rows = [(rank, 0, 10 + rank, 40, "all_reduce", "1", 0) for rank in range(4)]
    pairs = {0: {"1": (0, 1)}, 1: {"1": (0, 1)}, 2: {"1": (2, 3)}, 3: {"1": (2, 3)}}
    peers = OperationPeers((0, 1, 2, 3), 4, pairs)
    assert match_groups(table(*rows), peers).tolist() == [11, 11, 13, 13]


@pytest.mark.parametrize(
    ("group", "groups", "expected"),
    [
        ("ep.0", {}, [-1, -1]),  # who else is in it is not known while ranks are missing
        ("ep.0", {"ep.0": (0, 1)}, [13, 13]),
        ("ep.0", {"ep.0": (0, 1, 2)}, [-1, -1]),
        ("0>1", {}, [13, 13]),
        ("alone", {"alone": (0,)}, [12, -1]),
    ],
)
def test_missing_ranks(group, groups, expected) -> None:
    events = table((0, 0, 12, 40, "p2p", group, 0), (1, 0, 13, 40, "p2p", group, 0))
    peers = OperationPeers((0, 1), 3, {0: groups, 1: groups})
    assert match_groups(events, peers).tolist() == expected


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(-1, 1),
        st.integers(0, 50),
        st.just(99),
        st.sampled_from(["p2p", "all_reduce", "compute"]),
        st.sampled_from(["", "g", "0>1", "2>1"]),
        st.integers(-1, 1),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=50)
@given(ROWS, st.booleans())
def test_matching_agrees_with_a_search_row_by_row(rows, complete) -> None:
    peers = OperationPeers((0, 1, 2), 3 if complete else 4, {})
    users = {row[5]: {other[0] for other in usable(rows) if other[5] == row[5]} for row in rows}
    members = {"0>1": {0, 1}, "2>1": {1, 2}, "g": users.get("g", set()) if complete else set()}
    expected = []
    for row in rows:
        same = [one for one in usable(rows) if (one[1], *one[4:]) == (row[1], *row[4:])]
        first = {rank: min(one[2] for one in same if one[0] == rank) for rank, *_ in same}
        group = members.get(row[5], set())
        inside = {rank: start for rank, start in first.items() if rank in group}
        found = row in usable(rows) and row[0] in group and set(inside) == group
        expected.append(max(inside.values()) if found else -1)
    assert match_groups(table(*rows), peers).tolist() == expected


def usable(rows):
    return [row for row in rows if row[1] >= 0 and row[4] != "compute" and row[5] and row[6] >= 0]


def test_by_order_without_metadata() -> None:
    rows = [
        (rank, 0, start + rank, start + 10, kind, "", -1)
        for rank in range(2)
        for start, kind in ((10, "all_reduce"), (30, "all_reduce"), (50, "all_to_all"), (70, "p2p"))
    ]
    none = np.zeros(len(rows), dtype=bool)
    assert match_by_order(table(*rows), everyone(2), none).number.tolist() == [0, 1, 0, -1] * 2
    assert (match_by_order(table(*rows), OperationPeers((0, 1), 3, {}), none).number == -1).all()
    assert (match_by_order(table(*rows[:4]), everyone(1), none[:4]).number == -1).all()
    launched = table(*rows).assign(launch_ns=1)
    assert match_by_order(launched, everyone(2), none).number.tolist() == [0, 1, 0, 0] * 2
    low_latency = np.array([True, False, False, False] * 2)
    assert (
        match_by_order(table(*rows), everyone(2), low_latency).number.tolist() == [-1, 0, 0, -1] * 2
    )


@pytest.mark.parametrize(
    "second",
    [
        [(1, 0, 11, 21, "all_reduce", "", -1)],  # fewer
        [(1, 0, 20, 31, "all_reduce", "", -1), (1, 0, 45, 61, "all_reduce", "", -1)],  # too late
    ],
)
def test_what_contradicts_one_order_is_not_matched_by_it(second) -> None:
    first = [(0, 0, 10, 20, "all_reduce", "", -1), (0, 0, 40, 50, "all_reduce", "", -1)]
    rows = [*first, *second]
    none = np.zeros(len(rows), bool)
    assert (match_by_order(table(*rows), everyone(2), none).number == -1).all()
