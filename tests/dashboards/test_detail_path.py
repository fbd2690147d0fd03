"""The level of detail of a critical path loses nothing and stays small, whatever the path."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.detail.path import PIECES, path_bars
from dpprof.tables.columns import PATH, make_table


def make_path(pieces: list[tuple[int, int, str]], start: int = 0) -> pd.DataFrame:
    """A path of (rank, length, kind), one after the other, from `start` on."""
    edges = np.cumsum([start, *(length for _, length, _ in pieces)]).tolist()
    columns = {
        "step": 0,
        "rank": [rank for rank, _, _ in pieces],
        "start_ns": [first for first, _ in pairwise(edges)],
        "end_ns": [last for _, last in pairwise(edges)],
        "kind": [kind for *_, kind in pieces],
        "name": [f"n{number}" for number in range(len(pieces))],
    }
    return make_table(PATH, columns)


def rows(bars: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(
        bars[["rank", "start_ns", "end_ns", "kind", "name", PIECES]].itertuples(
            index=False, name=None
        )
    )


def test_long_pieces_stay_as_they_are_and_are_cut_to_the_span() -> None:
    path = make_path([(0, 40, "compute"), (1, 30, "p2p"), (1, 30, "compute")], start=1000)
    assert rows(path_bars(path, (1010, 1100), 9)) == [
        (0, 1010, 1040, "compute", "n0", 1),
        (1, 1040, 1070, "p2p", "n1", 1),
        (1, 1070, 1100, "compute", "n2", 1),
    ]


def test_short_pieces_of_a_rank_in_a_column_become_one_bar() -> None:
    pieces = [(0, 50, "compute"), (0, 2, "p2p"), (0, 5, "host"), (0, 2, "p2p"), (1, 1, "idle")]
    path = make_path([*pieces, (1, 40, "compute")])
    assert rows(path_bars(path, (0, 100), 10)) == [
        (0, 0, 50, "compute", "n0", 1),
        (0, 50, 59, "host", "n2", 3),
        (1, 59, 60, "idle", "n4", 1),
        (1, 60, 100, "compute", "n5", 1),
    ]


def test_no_pieces_no_bars() -> None:
    assert path_bars(make_path([]), (0, 100), 10).empty
    assert path_bars(make_path([(0, 10, "compute")]), (10, 100), 10).empty


many = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(st.integers(1, 5), st.integers(1, 4000)),
        st.sampled_from(["compute", "p2p", "host"]),
    ),
    min_size=1,
    max_size=80,
)


@given(pieces=many, columns=st.integers(1, 40), cut=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_every_piece_is_in_a_bar_of_its_rank_and_bars_are_few(
    pieces: list[tuple[int, int, str]], columns: int, cut: tuple[float, float]
) -> None:
    path = make_path(pieces, start=10**18)
    whole = int(path["end_ns"].max()) - 10**18
    first, last = sorted(round(edge * whole) for edge in cut)
    span = (10**18 + first, 10**18 + max(last, first + 1))
    bars = path_bars(path, span, columns)
    assert len(bars) <= columns * (1 + path["rank"].nunique())
    inside = path[(path["end_ns"] > span[0]) & (path["start_ns"] < span[1])]
    assert bars[PIECES].sum() == len(inside)
    for piece in inside.itertuples():
        start, end = max(piece.start_ns, span[0]), min(piece.end_ns, span[1])
        own = bars[(bars["rank"] == piece.rank)]
        assert ((own["start_ns"] <= start) & (own["end_ns"] >= end)).any()
    for _, own in bars.groupby("rank"):
        ends = own.sort_values("start_ns")["end_ns"].to_numpy()
        starts = own.sort_values("start_ns")["start_ns"].to_numpy()
        assert (starts[1:] >= ends[:-1]).all(), "bars of a rank do not overlap"
