"""Communication by kind: hidden, exposed, waiting."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.figures import KindFigures
from dpprof.analysis.report.analyze import analyze


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


def test_the_unsplit_figures_count_waiting_too(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 20),
            event(0, 10, 30, "dispatch", ready_ns=25),  # hidden 10, but waiting
            event(0, 25, 40, "p2p", ready_ns=25, lane="another"),
            event(1, 0, 8),
            event(1, 6, 10, "p2p"),
        ]
    )
    report = analyze(run)
    found = [
        (
            one.including_wait.communication_ns,
            one.including_wait.hidden_ns,
            one.including_wait.hidden_share,
        )
        for one in (*report.ranks, report.total)
    ]
    assert found == [(30, 10, 10 / 30), (4, 2, 2 / 4), (34, 12, 12 / 34)]
    assert [one.hidden_share for one in report.ranks] == [0.0, 2 / 4]


def test_kernels_that_only_send_or_receive_hide_no_share_that_is_known(make_run, event) -> None:
    low_latency = "void deep_ep::internode_ll::dispatch<true, 7168>(void*)"
    run = make_run(
        [
            event(0, 0, 20),
            event(0, 10, 12, "dispatch", name=low_latency),
            event(0, 14, 24, "all_reduce"),
            event(1, 0, 20),
            event(1, 10, 12, "dispatch", name="deep_ep::internode::dispatch"),
        ]
    )
    report = analyze(run)
    reason = "split into send and receive parts; kernel overlap sees none of it"
    split, whole = report.ranks
    assert split.by_kind == {
        "dispatch": KindFigures(
            total_ns=2,
            hidden_ns=2,
            exposed_ns=0,
            wait_ns=None,
            unsplit_ns=2,
            hidden_reason=reason,
        ),
        "all_reduce": KindFigures(
            total_ns=10, hidden_ns=6, exposed_ns=4, wait_ns=None, unsplit_ns=10
        ),
    }
    assert (split.hidden_share, split.including_wait.hidden_share) == (None, None)
    assert (split.hidden_ns, split.exposed_ns) == (8, 4)
    assert split.hidden_reason == report.total.hidden_reason == f"dispatch: {reason}"
    assert (whole.hidden_share, whole.hidden_reason) == (1.0, None)
    assert (report.total.hidden_share, report.total.by_kind["dispatch"].hidden_reason) == (
        None,
        reason,
    )


def test_one_unsplit_row_leaves_the_waiting_of_others_known(make_run, event) -> None:
    run = make_run([event(0, 0, 10, "p2p"), event(0, 0, 10, "combine", ready_ns=4), event(1, 0, 5)])
    report = analyze(run)
    assert [rank.wait_ns for rank in report.ranks] == [4, 0]
    assert [rank.unsplit_ns for rank in report.ranks] == [10, 0]
    assert report.ranks[0].by_kind["combine"].wait_ns == 4
    assert report.ranks[0].by_kind["p2p"].wait_ns is None
    assert (report.total.wait_ns, report.total.unsplit_ns) == (4, 10)
    assert report.warnings == [
        "unsplit: p2p: operations were not matched with those of their peers (traces not at hand, "
        "or nothing in them to match by), so waiting counts as transfer and "
        "no bubble is claimed from it"
    ]


def test_a_kind_is_split_in_part(make_run, event) -> None:
    rows = [event(0, 0, 10, "p2p", ready_ns=4), event(0, 20, 25, "p2p"), event(1, 0, 30, "p2p")]
    report = analyze(make_run(rows))
    first, second = (rank.by_kind["p2p"] for rank in report.ranks)
    assert (first.total_ns, first.wait_ns, first.unsplit_ns) == (11, 4, 5)
    assert (second.wait_ns, second.unsplit_ns) == (None, 30)
    assert (report.ranks[1].wait_ns, report.total.wait_ns, report.total.unsplit_ns) == (None, 4, 35)
    assert report.warnings[0].startswith("unsplit: p2p (in part: 0.00 ms): ")


def test_waiting_of_a_rank_without_communication_does_not_stand_for_others(make_run, event) -> None:
    report = analyze(make_run([event(0, 0, 10, "p2p"), event(1, 0, 10)]))
    assert [rank.wait_ns for rank in report.ranks] == [None, 0]
    assert report.total.wait_ns is None


def test_what_was_posted_is_not_hidden(make_run, event) -> None:
    send = event(0, 5, 30, "p2p", name="gloo:send", ready_ns=8)
    (rank,) = analyze(make_run([event(0, 0, 20), send])).ranks
    assert (rank.hidden_ns, rank.exposed_ns, rank.hidden_share) == (0, 10, None)
    assert rank.by_kind["p2p"].total_ns == 10
    assert (rank.bubble_share, rank.wait_ns) == (0, 3)
    (rank,) = analyze(make_run([event(0, 0, 20), send | {"ready_ns": -1}])).ranks
    assert (rank.bubble_share, rank.wait_ns, rank.exposed_ns) == (None, None, 10)


def test_no_communication_has_no_hidden_share(make_run, event) -> None:
    (rank,) = analyze(make_run([event(0, 0, 10)])).ranks
    assert (rank.communication_ns, rank.hidden_share, rank.by_kind) == (0, None, {})
    assert (rank.hidden_reason, rank.including_wait.hidden_share) == ("no communication", None)


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


def span(row: dict[str, Any]) -> range:
    return range(row["start_ns"], row["end_ns"])


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
        whole = {at for row in mine if row["kind"] != "compute" for at in span(row)}
        assert rank.including_wait.communication_ns == len(whole)
        assert rank.including_wait.hidden_ns == len(whole & compute)
        assert rank.window_ns == sum(rank.states_ns.values())
