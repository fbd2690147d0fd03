"""The time accounts: hand-made steps, and a brute-force twin that looks at every nanosecond."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.accounting.account import account
from dpprof.analysis.report.analyze import analyze
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS, STATES


def states_of(run: Any) -> list[dict[str, int]]:
    """Per rank and step the states that are not zero."""
    rows = account(run).states[list(STATES)].to_dict("records")
    return [{state: value for state, value in row.items() if value} for row in rows]


def test_every_state_of_a_step(make_run, event) -> None:
    run = make_run(
        [
            event(0, 10, 30),
            event(0, 20, 40, "dispatch"),  # hidden until 30, then exposed
            event(0, 35, 45, "p2p"),  # wins over the dispatch from 35
            event(0, 50, 55, "memory"),
            event(0, 60, 70),
            event(1, 0, 5),
            event(1, 80, 100),
        ]
    )
    assert states_of(run) == [
        {
            "bubble.warmup": 10,
            "compute_only": 10 + 10,
            "overlap": 10,
            "exposed.dispatch": 5,
            "exposed.p2p": 10,
            "memory": 5,
            "bubble.other": 5 + 5,
            "bubble.cooldown": 30,
        },
        {"compute_only": 25, "bubble.other": 75},
    ]


def test_a_fused_kernel_is_a_state_of_its_own_and_hides_nothing_that_is_known(
    make_run, event
) -> None:
    run = make_run(
        [
            event(0, 0, 30, "fused"),
            event(0, 10, 20),
            event(0, 20, 40, "all_reduce"),
            event(0, 50, 60),
        ]
    )
    assert states_of(run) == [
        {"fused": 30, "exposed.all_reduce": 10, "compute_only": 10, "bubble.other": 10}
    ]
    (rank,) = analyze(run).ranks
    assert (rank.communication_ns, rank.hidden_ns, rank.hidden_share) == (10, 0, None)
    assert rank.hidden_reason is not None
    assert rank.hidden_reason.startswith("fused: communication and computing in one kernel")
    assert rank.by_kind["all_reduce"].total_ns == 10
    alone = analyze(make_run([event(0, 0, 30, "fused")])).ranks[0]
    assert (alone.hidden_share, alone.hidden_reason) == (None, rank.hidden_reason)


def test_waiting_is_not_transferring(make_run, event) -> None:
    group = {"group": "ep", "sequence": 3}
    run = make_run(
        [
            event(0, 0, 10),
            event(0, 10, 30, "dispatch", ready_ns=25, **group),
            event(0, 30, 40),
            event(1, 0, 25),
            event(1, 25, 30, "dispatch", ready_ns=25, **group),
            event(1, 30, 40),
        ]
    )
    assert states_of(run) == [
        {"compute_only": 20, "exposed.dispatch": 5, "bubble.straggler": 15},
        {"compute_only": 35, "exposed.dispatch": 5},
    ]
    (region,) = account(run).regions.to_dict("records")
    assert region == {
        "rank": 0,
        "step": 0,
        "start_ns": 10,
        "end_ns": 25,
        "state": "bubble.straggler",
        "phase": "steady",
        "cause_kind": "collective",
        "cause": "dispatch",
        "cause_rank": 1,
        "cause_group": "ep",
        "slot": "",
    }


def test_a_message_without_its_peer_claims_no_bubble(make_run, event) -> None:
    run = make_run([event(3, 0, 10), event(3, 10, 30, "p2p"), event(3, 30, 40)])
    assert states_of(run) == [{"compute_only": 20, "exposed.p2p": 20}]


def test_steps_have_their_own_windows_and_ranks_share_them(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10, step=4),
            event(1, 5, 20, step=4),
            event(0, 15, 30, step=5),
            event(0, 0, 100, step=9),  # not used
        ],
        used_steps=(4, 5),
    )
    rows = account(run).states
    assert rows[["rank", "step", "start_ns", "end_ns"]].to_numpy().tolist() == [
        [0, 4, 0, 20],
        [1, 4, 0, 20],
        [0, 5, 20, 30],
        [1, 5, 20, 30],
    ]
    assert states_of(run) == [
        {"compute_only": 20},  # of step 9, which is not used, and of step 5
        {"compute_only": 15, "bubble.warmup": 5},
        {"compute_only": 10},
        {"bubble.other": 10},  # never computes, so neither warm-up nor drain
    ]


def test_a_run_without_activity_has_empty_accounts(make_run) -> None:
    result = account(make_run([]))
    assert result.states.empty
    assert list(result.states)[4:] == list(STATES)
    assert result.regions.empty
    assert "cause_rank" in result.regions


def test_absolute_times_keep_every_nanosecond(make_run, event) -> None:
    base = 1_790_857_026_000_000_001
    run = make_run([event(0, base, base + 3), event(0, base + 7, base + 8)])
    assert states_of(run) == [{"compute_only": 4, "bubble.other": 4}]


kinds = st.sampled_from(["compute", "p2p", "dispatch", "all_reduce", "memory", "fused"])
rows = st.builds(
    lambda rank, start, size, kind, ready, launch, sending: {
        "rank": rank,
        "start_ns": start,
        "end_ns": start + size,
        "kind": kind,
        "ready_ns": -1 if ready is None else start + ready,
        "launch_ns": launch,
        "group": f"{rank}>9" if sending and kind == "p2p" else "",
    },
    st.integers(0, 2),
    st.integers(0, 40),
    st.integers(0, 15),
    kinds,
    st.none() | st.integers(0, 20),
    st.integers(-1, 40),
    st.booleans(),
)


def split(row: dict[str, Any]) -> tuple[range, range]:
    """Wait and transfer of a row as ranges of instants."""
    ready = (
        row["start_ns"]
        if row["ready_ns"] < 0 or row["kind"] in ("compute", "memory", "fused")
        else (min(max(row["ready_ns"], row["start_ns"]), row["end_ns"]))
    )
    return range(row["start_ns"], ready), range(ready, row["end_ns"])


def twin_state(instant: int, mine: list[dict[str, Any]]) -> str:
    """State of one nanosecond, straight from the definitions."""
    doing = {row["kind"] for row in mine if instant in split(row)[1]}
    transfers = [kind for kind in COMMUNICATION_KINDS if kind in doing]
    if "fused" in doing:
        return "fused"
    if "compute" in doing:
        return "overlap" if transfers else "compute_only"
    if transfers:
        return f"exposed.{transfers[0]}"
    if "memory" in doing:
        return "memory"
    computing = [row for row in mine if row["kind"] in ("compute", "fused") and split(row)[1]]
    if computing and instant < min(row["start_ns"] for row in computing):
        return "bubble.warmup"
    if computing and instant >= max(row["end_ns"] for row in computing):
        return "bubble.cooldown"
    waiting = [row for row in mine if instant in split(row)[0]]
    messages = [row for row in waiting if row["kind"] == "p2p"]
    if any(not row["group"] for row in messages):
        return "bubble.dependency"
    if any(row["kind"] != "p2p" for row in waiting):
        return "bubble.straggler"
    return "bubble.dependency" if messages else "bubble.other"


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=10))
def test_states_agree_with_looking_at_every_nanosecond(
    make_run: Any, events: list[dict[str, Any]]
) -> None:
    events = [{**row, "launch_ns": -1} for row in events]
    run = make_run(events)
    start = min(row["start_ns"] for row in events)
    end = max(row["end_ns"] for row in events)
    expected = []
    for rank in sorted({row["rank"] for row in events}):
        mine = [row for row in events if row["rank"] == rank]
        found = [twin_state(instant, mine) for instant in range(start, end)]
        expected.append({state: found.count(state) for state in STATES if state in found})
    assert states_of(run) == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=12))
def test_states_fill_the_window_and_regions_are_its_bubbles(
    make_run: Any, events: list[dict[str, Any]]
) -> None:
    result = account(make_run(events))
    states = result.states
    assert (states[list(STATES)].sum(axis=1) == states["end_ns"] - states["start_ns"]).all()
    for _, row in states.iterrows():
        regions = result.regions[result.regions["rank"] == row["rank"]]
        lengths = (regions["end_ns"] - regions["start_ns"]).groupby(regions["state"].astype(str))
        sums = lengths.sum().to_dict()
        assert sums == {state: row[state] for state in BUBBLE_STATES if row[state]}
        columns = ["start_ns", "end_ns", "state"]
        for before, after in pairwise(regions[columns].itertuples(index=False)):
            assert (before.end_ns, before.state) != (after.start_ns, after.state)


def test_of_too_many_regions_the_longest_are_listed_and_the_rest_said(
    make_run, event, monkeypatch
) -> None:
    starts = [0, 2, 5, 9, 10]  # computing 1 each: gaps of 1, 2, 3 and 0
    run = make_run([event(0, start, start + 1) for start in starts])
    whole = account(run)
    monkeypatch.setattr("dpprof.analysis.accounting.account.MOST_REGIONS", 2)
    some = account(run)
    assert some.regions[["start_ns", "end_ns"]].to_numpy().tolist() == [[3, 5], [6, 9]]
    assert (some.left_out, whole.left_out) == ((1, 1), (0, 0))
    pd.testing.assert_frame_equal(some.states, whole.states)
    assert (
        "1 bubble regions, the shortest of each rank, are not listed" in analyze(run).warnings[-1]
    )
