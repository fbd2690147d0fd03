"""The critical path, against the longest path through the dependencies of simulated steps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpprof.analysis.critical_path import visits
from dpprof.analysis.critical_path.walk import critical_path
from dpprof.api import load
from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.runs.windows import step_windows
from dpprof.schedules.actions import slot_operation, slot_text
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import DependencyRule
from dpprof.simulate.run import simulated_run
from dpprof.tables.columns import PATH
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.load import load_run

SHOWN = ["rank", "start_ns", "end_ns", "kind", "name"]


def shown(path: pd.DataFrame) -> list[list[object]]:
    assert dict(path.dtypes.astype(str)) == PATH
    return path[SHOWN].astype({"kind": str, "name": str}).values.tolist()


def test_along_a_message_to_the_rank_that_was_waited_for(make_run, event) -> None:
    message = {"group": "0>1", "sequence": 0, "ready_ns": 500_000}
    run = make_run(
        [
            event(0, 100_000, 500_000, name="a"),
            event(0, 500_000, 600_000, "p2p", peer=1, lane="c", name="send", **message),
            event(0, 500_000, 550_000, name="b"),
            event(1, 0, 200_000, name="c"),
            event(1, 200_000, 620_000, "p2p", peer=0, lane="c", name="recv", **message),
            event(1, 640_000, 900_000, name="d"),
        ]
    )
    assert shown(critical_path(run)) == [
        [0, 0, 100_000, "idle", "a"],
        [0, 100_000, 500_000, "compute", "a"],
        [1, 500_000, 620_000, "p2p", "recv"],
        [1, 620_000, 640_000, "idle", "d"],
        [1, 640_000, 900_000, "compute", "d"],
    ]


def test_a_late_launch_and_a_straggler(make_run, event) -> None:
    both = {"group": "dp", "sequence": 3, "ready_ns": 70_000}
    run = make_run(
        [
            event(0, 0, 10_000, launch_ns=0, name="a"),
            event(0, 10_000, 90_000, "all_reduce", launch_ns=1, lane="c", name="r", **both),
            event(1, 5_000, 20_000, launch_ns=0, name="b"),
            event(1, 70_000, 88_000, "all_reduce", launch_ns=60_000, lane="c", name="r", **both),
        ]
    )
    path = critical_path(run)
    assert shown(path) == [
        [1, 0, 5_000, "idle", "b"],
        [1, 5_000, 20_000, "compute", "b"],
        [1, 20_000, 70_000, "host", "r"],
        [0, 70_000, 90_000, "all_reduce", "r"],
    ]
    assert path["why"].tolist()[2:] == ["launched late", "the last of the step to end"]


def test_a_batch_is_followed_to_the_peer_that_came_last(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 30, name="a"),
            event(0, 30, 45, "p2p", peer=1, group="0>1 1>0", sequence=0, ready_ns=30, name="x"),
            event(1, 2, 46, "p2p", peer=0, group="1>0 0>1", sequence=0, ready_ns=30, name="y"),
        ]
    )
    assert shown(critical_path(run)) == [[0, 0, 30, "compute", "a"], [1, 30, 46, "p2p", "y"]]


def test_the_busy_lane_comes_before_another_lane_that_ended_later(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 1_000_000, name="a"),
            event(0, 500_000, 1_002_000, "dispatch", lane="c", name="d"),
            event(0, 1_003_000, 1_500_000, name="b"),
        ]
    )
    assert shown(critical_path(run)) == [
        [0, 0, 1_000_000, "compute", "a"],
        [0, 1_000_000, 1_003_000, "idle", "b"],
        [0, 1_003_000, 1_500_000, "compute", "b"],
    ]


@pytest.mark.parametrize(("gap", "through"), [(4_000, "a"), (10_000, "d")])
def test_a_lane_that_had_time_to_wait_was_not_busy(make_run, event, gap, through) -> None:
    begin = 1_000_000 + gap
    run = make_run(
        [
            event(0, 0, 1_000_000, name="a", launch_ns=0),
            event(0, 500_000, begin - 500, "dispatch", lane="c", name="d"),
            event(0, begin, 2_000_000, name="b"),
        ]
    )
    names = [name for *_, name in shown(critical_path(run))]
    assert names[-1] == "b"
    assert next(name for name in reversed(names) if name != "b") == through


MS = 1_000_000


@pytest.mark.parametrize("source", ["captured", "emulated"])
def test_a_receive_that_ended_before_its_senders_start_is_all_waiting(
    make_run, event, source
) -> None:
    message = {"group": "0>1", "sequence": 0, "ready_ns": 130 * MS}
    run = make_run(
        [
            event(0, 0, 100 * MS, name="a"),
            event(0, 130 * MS, 131 * MS, "p2p", peer=1, lane="c", name="send", **message),
            event(1, 0, 20 * MS, name="b"),
            event(1, 5 * MS, 110 * MS, "p2p", peer=0, lane="c", name="recv", **message),
            event(1, 110 * MS, 200 * MS, name="c"),
        ],
        source=source,
    )
    assert shown(critical_path(run)) == [
        [0, 0, 100 * MS, "compute", "a"],
        [0, 100 * MS, 110 * MS, "idle", "send"],
        [1, 110 * MS, 200 * MS, "compute", "c"],
    ]


def test_what_waited_for_a_peer_without_a_trace_is_idle_until_it_was_ready(make_run, event) -> None:
    message = {"peer": 1, "group": "1>0", "sequence": 0, "ready_ns": 40, "launch_ns": 15}
    run = make_run(
        [
            event(0, 0, 10, launch_ns=0, name="a"),
            event(0, 20, 50, "p2p", lane="c", name="recv", **message),
            event(0, 50, 60, launch_ns=1, name="b"),
        ]
    )
    path = critical_path(run)
    assert shown(path) == [
        [0, 0, 10, "compute", "a"],
        [0, 10, 40, "idle", "recv"],
        [0, 40, 50, "p2p", "recv"],
        [0, 50, 60, "compute", "b"],
    ]
    assert path["why"].tolist()[1] == "nothing in the trace says what the rank waited for"


def test_a_receive_posted_after_the_one_before_it_leads_to_what_that_waited_for(
    make_run, event
) -> None:
    first = {"group": "0>1", "sequence": 0, "ready_ns": 59 * MS}
    second = {"group": "0>1", "sequence": 1, "ready_ns": 60 * MS + 40_000}
    run = make_run(
        [
            event(0, 0, 59 * MS, name="a"),
            event(0, 59 * MS, 60 * MS, "p2p", peer=1, lane="c", name="send", **first),
            event(0, 60 * MS, 61 * MS, "p2p", peer=1, lane="c", name="send", **second),
            event(1, 0, 20 * MS, name="b"),
            event(1, 0, 60 * MS, "p2p", peer=0, lane="c", name="recv", **first),
            event(1, 60_040_000, 62 * MS, "p2p", peer=0, lane="c", name="recv", **second),
            event(1, 62 * MS, 80 * MS, name="d"),
        ],
        source="emulated",
    )
    assert shown(critical_path(run)) == [
        [0, 0, 59 * MS, "compute", "a"],
        [1, 59 * MS, 60 * MS, "p2p", "recv"],
        [1, 60 * MS, 60_040_000, "idle", "recv"],
        [1, 60_040_000, 62 * MS, "p2p", "recv"],
        [1, 62 * MS, 80 * MS, "compute", "d"],
    ]


def test_a_message_waits_for_its_lane_where_that_was_busy_after_what_made_it(
    make_run, event
) -> None:
    run = make_run(
        [
            event(0, 0, 20 * MS, name="a"),
            event(0, 20 * MS, 30 * MS, name="b"),
            event(0, 20 * MS, 60 * MS, "p2p", lane="c", group="0>1", name="one"),
            event(0, 62 * MS, 70 * MS, "p2p", lane="c", group="0>1", name="two"),
        ],
    )
    assert shown(critical_path(run)) == [
        [0, 0, 20 * MS, "compute", "a"],
        [0, 20 * MS, 60 * MS, "p2p", "one"],
        [0, 60 * MS, 62 * MS, "idle", "two"],
        [0, 62 * MS, 70 * MS, "p2p", "two"],
    ]


def test_what_made_a_message_may_end_its_label_after_the_message_began(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 5 * MS, name="a"),
            event(0, 5 * MS, 10_030_000, "combine", lane="e", name="b", ready_ns=5 * MS),
            event(0, 10 * MS, 12 * MS, "p2p", lane="c", group="0>1", name="send"),
        ],
        source="emulated",
    )
    assert shown(critical_path(run)) == [
        [0, 0, 5 * MS, "compute", "a"],
        [0, 5 * MS, 10 * MS, "combine", "b"],
        [0, 10 * MS, 12 * MS, "p2p", "send"],
    ]


def test_no_events_and_events_without_length(make_run, event) -> None:
    assert critical_path(make_run([])).empty
    run = make_run([event(0, 5, 5), event(0, 9, 9)])
    assert shown(critical_path(run)) == [[0, 5, 9, "idle", ""]]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 60),
        st.integers(0, 20),
        st.sampled_from(["compute", "p2p", "all_reduce", "memory"]),
        st.sampled_from(["a", "b"]),
        st.integers(-1, 2),
        st.integers(-1, 60),
        st.integers(0, 1),
    ),
    max_size=25,
)


def assert_work_is_no_waiting(run, path: pd.DataFrame) -> None:
    """On its rank and lane each piece of a communication lies in a transfer of that kind."""
    named = ["rank", "lane", "kind", "name"]  # not the step: work counts in that in which it runs
    events = run.events
    begin = events["ready_ns"].clip(events["start_ns"], events["end_ns"])
    transfers = events[named].astype(str).assign(begin=begin, over=events["end_ns"])
    pieces = path[path["kind"].isin(COMMUNICATION_KINDS)]
    pieces = pieces[named].astype(str).join(pieces[["start_ns", "end_ns"]])
    both = pieces.reset_index().merge(transfers, on=named)
    inside = both[(both["begin"] <= both["start_ns"]) & (both["end_ns"] <= both["over"])]
    assert set(inside["index"]) == set(pieces.index)


@pytest.mark.parametrize("sample", ["1f1b", "dualpipe"])
def test_waiting_is_not_on_the_path_of_a_sample(sample) -> None:
    loaded = load(Path(__file__).parents[2] / "traces" / sample)
    assert_work_is_no_waiting(loaded.run, loaded.critical_path)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, source=st.sampled_from(["captured", "emulated"]))
def test_the_pieces_cover_every_window_exactly(make_run, event, rows, source) -> None:
    names = ("lane", "peer", "ready_ns", "step")
    events = [
        event(*(rank, start, start + length, kind), group="g", sequence=0)
        | dict(zip(names, rest, strict=True))
        for rank, start, length, kind, *rest in rows
    ]
    run = make_run(events, used_steps=(0, 1), source=source)
    path = critical_path(run)
    for step, (start, end) in step_windows(run).items():
        pieces = path[path["step"] == step]
        edges = [start, *pieces["end_ns"]]
        assert pieces["start_ns"].tolist() == edges[:-1]
        assert edges[-1] == end
        assert (pieces["end_ns"] > pieces["start_ns"]).all()
    assert_work_is_no_waiting(run, path)


def longest_path(schedule, lengths, message_ns: int):
    """Length of the longest path through slots and messages, by trying every edge.

    Each slot needs its rank's slot before it and the results that it takes in; a message needs
    its producer and the message before it on its edge. Relaxed until nothing changes.
    """
    rule = DependencyRule(schedule)
    ranks = list(enumerate(schedule.ranks))
    slots = [(rank, i, slot) for rank, own in ranks for i, slot in enumerate(own)]
    where = {(rank, action): (rank, i) for rank, i, slot in slots for action in slot}
    needs: dict[object, list[object]] = {(rank, i): [(rank, i - 1)] for rank, i, _ in slots}
    on_edge: dict[tuple[int, int], object] = {}
    for rank, i, slot in slots:
        for action in slot:
            taker = rule.downstream(rank, action)
            if taker is None or taker.pp_rank == rank:
                continue
            edge, message = (rank, taker.pp_rank), ("message", rank, action)
            needs[message] = [(rank, i), on_edge.get(edge)]
            needs[where[taker.pp_rank, taker.action]].append(message)
            on_edge[edge] = message
    length = {(rank, i): lengths[slot_operation(slot)] for rank, i, slot in slots}
    end: dict[object, int] = {}
    while True:
        new = {
            node: max((end.get(need, 0) for need in before), default=0)
            + length.get(node, message_ns)
            for node, before in needs.items()
        }
        if new == end:
            return max(end.values()), end, where
        end = new


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["1f1b", "gpipe", "zb1p", "zbv", "dualpipev", "interleaved-1f1b"]),
    st.integers(2, 3),
    st.integers(2, 4),
    st.tuples(*(st.integers(1_000, 9_999) for _ in range(4))),
)
def test_a_simulated_steps_path_is_a_longest_path(name, pp, rounds, times) -> None:
    forward, inputs, weights, message = times
    schedule = make_schedule(name, pp, pp * rounds)
    operations = {"F": forward * 100, "I": inputs * 100, "W": weights * 100}
    profile = CostProfile(
        name="random",
        operation_ns=operations,
        message=MessageCost(bytes=message, bytes_per_second=1e9),
    )
    run = simulated_run(schedule, profile)
    lengths = {
        **operations,
        "B": operations["I"] + operations["W"],
        "F&B": operations["F"] + operations["I"] + operations["W"],
    }
    length, end, where = longest_path(schedule, lengths, message)
    path = critical_path(run)
    busy = path[~path["kind"].isin(["host", "idle"])]
    assert path["start_ns"].iloc[0] == 0
    assert int((busy["end_ns"] - busy["start_ns"]).sum()) == length == path["end_ns"].iloc[-1]
    rule = DependencyRule(schedule)
    slots = busy[busy["kind"] == "compute"]
    chain = [(row.rank, row.slot, row.end_ns) for row in slots.itertuples()]
    texts = {
        (rank, slot_text(slot)): slot for rank, own in enumerate(schedule.ranks) for slot in own
    }
    for rank, text, at in chain:
        (slot_end,) = {end[where[rank, action]] for action in texts[rank, text]}
        assert slot_end == at
    for (rank, text, at), (next_rank, next_text, next_at) in pairwise(chain):
        start = next_at - lengths[slot_operation(texts[next_rank, next_text])]
        if rank == next_rank:
            assert start == at
            continue
        needed = {
            need
            for action in texts[next_rank, next_text]
            if (need := rule.upstream(next_rank, action)) is not None
        }
        assert any(need.pp_rank == rank and need.action in texts[rank, text] for need in needed)
        assert (start - at) % message == 0  # it may have waited for messages before it


def test_the_path_is_the_same_where_ranks_are_read_again(monkeypatch) -> None:
    run = load_run(Path(__file__).parents[2] / "traces" / "dualpipe")
    path = critical_path(run)
    monkeypatch.setattr(visits, "_MOST_HELD", 0)
    pd.testing.assert_frame_equal(critical_path(run), path)
