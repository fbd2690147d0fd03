"""Kernels that carry several messages, and messages that only their launch knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.tables.columns import EVENTS, make_table
from dpprof.tables.edges import batch_text
from dpprof.trace.load import load_run
from dpprof.trace.match.batched_messages import put_together, taken_apart
from dpprof.trace.match.operations import OperationPeers, match_groups

SENDRECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
SHOWN = ["group", "peer", "bytes", "sequence", "ready_ns"]


def call(build, way: str, rank: int, peer: int, ts: float, dur: float = 2, group: str = "7"):
    side = {"Dst Rank": peer} if way == "send" else {"Src Rank": peer}
    said = {"Collective name": way, "dtype": "BFloat16", "In msg nelems": 8, **side}
    said |= {"Process Group Name": group, "Process Group Description": "pp", "Rank": rank}
    return build.operator("record_param_comms", ts, dur, **said)


def pair(build, folder: Path, first, second, size: int = 2):
    for rank, events in enumerate([first, second]):
        info = {"rank": rank, "world_size": size}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    return load_run(folder)


def test_a_batch_of_a_send_and_a_receive(build, tmp_path: Path) -> None:
    def rank(own: int, start: int):
        other = 1 - own
        return [
            build.step(3, 0, 100),
            call(build, "send", own, other, 10),
            call(build, "recv", own, other, 13),
            build.annotation("nccl:coalesced", 16, 4),
            type(build.kernel)()(SENDRECV, 17, start, 80 - start),
            call(build, "send", own, other, 20, 6),
        ]

    events = pair(build, tmp_path, rank(0, 30), rank(1, 50)).events
    assert events["kind"].tolist() == ["p2p", "p2p"]
    assert events[SHOWN].values.tolist() == [
        ["0>1 1>0", 1, 32, -1, 50_000],
        ["1>0 0>1", 0, 32, -1, 50_000],
    ]


def test_batches_among_three_ranks_and_single_messages_count_together(
    build, tmp_path: Path
) -> None:
    kernel = type(build.kernel)
    zero, one, two = kernel(), kernel(), kernel()
    ranks = [
        [
            call(build, "send", 0, 1, 1),
            zero(SENDRECV, 2, 10, 5),
            call(build, "send", 0, 1, 20),
            call(build, "recv", 0, 2, 23),
            zero(SENDRECV, 27, 30, 9),
        ],
        [
            call(build, "recv", 1, 0, 1),
            one(SENDRECV, 2, 12, 4),
            call(build, "recv", 1, 0, 20),
            one(SENDRECV, 21, 33, 6),
        ],
        [call(build, "send", 2, 0, 1), two(SENDRECV, 2, 36, 3)],
    ]
    for rank, events in enumerate(ranks):
        info = {"rank": rank, "world_size": 3}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    assert load_run(tmp_path).events[SHOWN].values.tolist() == [
        ["0>1", 1, 16, 0, 12_000],
        ["0>1 2>0", 2, 32, -1, 36_000],
        ["0>1", 0, 16, 0, 12_000],
        ["0>1", 0, 16, 1, 33_000],
        ["2>0", 0, 16, 0, 36_000],
    ]


def test_a_batch_with_a_missing_peer_is_unsplit(build, tmp_path: Path) -> None:
    kernel = type(build.kernel)
    first = [call(build, "send", 0, 1, 1), call(build, "recv", 0, 2, 4)]
    first += [kernel()(SENDRECV, 8, 10, 5)]
    second = [call(build, "recv", 1, 0, 1), kernel()(SENDRECV, 2, 12, 5)]
    events = pair(build, tmp_path, first, second, size=3).events
    assert events["ready_ns"].tolist() == [-1, 12_000]
    assert events["peer"].tolist() == [-1, 0]


def test_two_groups_between_two_ranks_are_counted_apart(build, tmp_path: Path) -> None:
    kernel = type(build.kernel)

    def rank(own: int, way: str, starts: dict[str, int]):
        launch = kernel()
        return [
            part
            for at, group in ((1, "a"), (5, "b"))
            for part in (
                call(build, way, own, 1 - own, at, 3, group),
                launch(SENDRECV, at + 1, starts[group], 9, stream=ord(group)),
            )
        ]

    run = pair(
        build, tmp_path, rank(0, "send", {"a": 20, "b": 30}), rank(1, "recv", {"a": 35, "b": 25})
    )
    assert run.events[["group", "sequence", "ready_ns"]].values.tolist() == [
        ["0>1@a", 0, 35_000],
        ["0>1@b", 0, 30_000],
        ["0>1@a", 0, 35_000],
        ["0>1@b", 0, 30_000],
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nccl:send 0->1", "nccl:recv 1<-0"), [["0>1", 1, 21_000], ["0>1", 0, 21_000]]),
        (("nccl:send 3->1", "nccl:recv 2<-0"), [["all ranks", -1, 21_000]] * 2),
    ],
)
def test_older_traces(build, tmp_path: Path, words, expected) -> None:
    ranks = [
        [
            build.step(3, 0, 100),
            build.annotation(name, 10, 5),
            type(build.kernel)()("ncclKernel_SendRecv_RING", 12, 20 + rank, 9),
        ]
        for rank, name in enumerate(words)
    ]
    events = pair(build, tmp_path, *ranks).events
    assert events[["group", "peer", "ready_ns"]].values.tolist() == expected


BATCHES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 50),
        st.lists(
            st.tuples(st.sampled_from(["0>1", "1>0", "1>2", "2>0"]), st.integers(0, 2)),
            min_size=1,
            max_size=3,
            unique=True,
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(BATCHES)
def test_batches_agree_with_a_search_message_by_message(batches) -> None:
    rows = {
        "rank": [rank for rank, *_ in batches],
        "start_ns": [start for _, start, _ in batches],
        "end_ns": 99,
        "kind": "p2p",
        "step": 0,
        "group": [one[0][0] if len(one) == 1 else batch_text(one) for *_, one in batches],
        "sequence": [one[0][1] if len(one) == 1 else -1 for *_, one in batches],
    }
    events = make_table(EVENTS, rows)
    apart, origin = taken_apart(events)
    ready = match_groups(apart, OperationPeers((0, 1, 2), 3, {}))
    found = put_together(events, apart, origin, ready)["ready_ns"].tolist()
    assert found == [expected(batch, batches) for batch in batches]


def expected(batch, batches) -> int:
    """The latest of the first starts of both ends of all messages; -1 if one end is missing."""
    latest = []
    for message in batch[2]:
        ends = {int(text) for text in message[0].split(">")}
        starts = {
            rank: min(start for other, start, own in batches if other == rank and message in own)
            for rank, _, carried in batches
            if message in carried and rank in ends
        }
        if batch[0] not in ends or set(starts) != ends:
            return -1
        latest.append(max(starts.values()))
    return max(latest)


def test_no_batches_no_change() -> None:
    events = make_table(EVENTS, {"rank": [0, 1], "group": ["0>1", "x#1"], "sequence": 4})
    apart, origin = taken_apart(events)
    assert apart is events
    assert origin.tolist() == [0, 1]
    together = put_together(events, apart, origin, np.array([7, -1]))
    assert together["ready_ns"].tolist() == [7, -1]
