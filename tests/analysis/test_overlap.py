"""Communication by kind: hidden, exposed, waiting."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.figures import KindFigures
from dpprof.analysis.report import analyze


def test_hidden_exposed_and_waiting_by_kind(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 20),
            event(0, 0, 30, "dispatch", ready_ns=10),  # waits 10, hidden 10, exposed 10
            event(0, 25, 40, "p2p", ready_ns=0),  # all exposed, over the dispatch at first
        ]
    )
    (rank,) = analyze(run).ranks
    assert rank.by_kind == {
        "p2p": KindFigures(total_ns=15, hidden_ns=0, exposed_ns=15, wait_ns=0),
        "dispatch": KindFigures(total_ns=20, hidden_ns=10, exposed_ns=10, wait_ns=10),
    }
    assert (rank.communication_ns, rank.hidden_ns, rank.exposed_ns) == (30, 10, 20)
    assert (rank.wait_ns, rank.hidden_share) == (10, 10 / 30)


def test_one_unsplit_row_leaves_its_kind_and_the_rank_without_a_wait(make_run, event) -> None:
    run = make_run([event(0, 0, 10, "p2p"), event(0, 0, 10, "combine", ready_ns=4), event(1, 0, 5)])
    report = analyze(run)
    assert [rank.wait_ns for rank in report.ranks] == [None, 0]
    assert report.ranks[0].by_kind["combine"].wait_ns == 4
    assert report.ranks[0].by_kind["p2p"].wait_ns is None
    assert report.total.wait_ns is None
    assert report.warnings == [
        "unsplit: p2p: operations were not matched with those of their peers (traces not at hand, "
        "or nothing in them to match by), so waiting counts as transfer and "
        "no bubble is claimed from it"
    ]


def test_no_communication_has_no_hidden_share(make_run, event) -> None:
    (rank,) = analyze(make_run([event(0, 0, 10)])).ranks
    assert (rank.communication_ns, rank.hidden_share, rank.by_kind) == (0, None, {})


rows = st.builds(
    lambda rank, start, size, kind, ready: {
        "rank": rank,
        "start_ns": start,
        "end_ns": start + size,
        "kind": kind,
        "ready_ns": start + ready,
    },
    st.integers(0, 1),
    st.integers(0, 30),
    st.integers(1, 12),
    st.sampled_from(["compute", "p2p", "combine"]),
    st.integers(0, 14),
)


def instants(events: list[dict[str, Any]], kind: str, *, waiting: bool = False) -> set[int]:
    found: set[int] = set()
    for row in events:
        if row["kind"] == kind:
            ready = row["start_ns"] if kind == "compute" else min(row["ready_ns"], row["end_ns"])
            found |= set(range(row["start_ns"], ready) if waiting else range(ready, row["end_ns"]))
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=8))
def test_kinds_agree_with_sets_of_instants(make_run: Any, events: list[dict[str, Any]]) -> None:
    for rank in analyze(make_run(events)).ranks:
        mine = [row for row in events if row["rank"] == rank.rank]
        compute = instants(mine, "compute")
        kinds = {row["kind"] for row in mine} - {"compute"}
        transfers = {kind: instants(mine, kind) for kind in kinds}
        assert rank.by_kind == {
            kind: KindFigures(
                total_ns=len(transfers[kind]),
                hidden_ns=len(transfers[kind] & compute),
                exposed_ns=len(transfers[kind] - compute),
                wait_ns=len(instants(mine, kind, waiting=True)),
            )
            for kind in kinds
        }
        everything = set().union(*transfers.values())
        assert rank.hidden_ns == len(everything & compute)
        assert rank.exposed_ns == len(everything - compute)
        assert rank.window_ns == sum(rank.states_ns.values())
