"""Only what is known to belong together is matched: groups of the trace before the world."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.tables.columns import EVENTS, make_table
from dpprof.trace.load import load_run
from dpprof.trace.match.bare_order import match_by_order
from dpprof.trace.match.operations import OperationPeers
from dpprof.trace.rank.process_groups import (
    OwnGroups,
    PeerNumbers,
    ProcessGroup,
    peer_in_words,
    ranks_in,
    ranks_text,
)
from dpprof.trace.read.columns import Collective

REDUCE = "ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GENERIC = "ncclDevKernel_Generic_4(ncclDevKernelArgsStorage<4096ul>)"
SENDRECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
NOTIFY = "void deep_ep::intranode::notify_dispatch<2>(int const*, int*)"
DISPATCH = "void deep_ep::intranode::dispatch<8, 768, 8192>(int4*, float*)"


def listed(*groups: tuple[str, str, list[int]]) -> list[dict]:
    return [{"pg_name": name, "pg_desc": about, "ranks": ranks} for name, about, ranks in groups]


def job(build, folder: Path, ranks: list[list], groups=()):
    """Loads a job of these events per rank; each rank's trace lists `groups`."""
    size = len(ranks)
    for rank, events in enumerate(ranks):
        info = {"rank": rank, "world_size": size, "pg_config": listed(*groups)}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    return load_run(folder)


def ready(run) -> list[list[int]]:
    """READY in microseconds, by rank; -1 where it is not known."""
    events = run.events[run.events["kind"] != "compute"]
    return [
        [time // 1000 if time >= 0 else -1 for time in part["ready_ns"].tolist()]
        for _, part in events.groupby("rank")
    ]


def two_pairs(build, name: str) -> list[list]:
    """Ranks 0 and 1 start at 10 and 12, ranks 2 and 3 at 14 and 15; all end at 40."""
    return [
        [build.step(1, 0, 90), type(build.kernel)()(name, 1, start, 40 - start)]
        for start in (10, 12, 14, 15)
    ]


WORLD = ("0", "default_pg", [0, 1, 2, 3])
EXPERTS = [
    ("1", "EXPERT_MODEL_PARALLEL_GROUP", [0, 1]),
    ("2", "EXPERT_MODEL_PARALLEL_GROUP", [2, 3]),
]
DATA = [("3", "DATA_PARALLEL_GROUP", [0, 2]), ("4", "DATA_PARALLEL_GROUP", [1, 3])]
EXPERT_DATA = [("5", "EXPERT_DATA_PARALLEL_GROUP", [0, 3])]


@pytest.mark.parametrize("name", [NOTIFY, DISPATCH])
@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], [15, 15, 15, 15]),  # no group is known: the world, as nothing speaks against it
        ([WORLD], [15, 15, 15, 15]),
        ([*EXPERTS], [12, 12, 15, 15]),
        ([WORLD, *EXPERTS, *DATA, *EXPERT_DATA], [12, 12, 15, 15]),
        ([WORLD, *DATA], [-1] * 4),  # either could be meant
        ([WORLD, EXPERTS[0], ("6", "ep", [0, 2])], [-1] * 4),
        ([WORLD, ("6", "mesh_ep", [0, 1, 2, 3]), *DATA], [15, 15, 15, 15]),
    ],
)
def test_expert_kernels_are_of_the_group_that_is_called_so(
    build, tmp_path: Path, name: str, groups, expected
) -> None:
    assert ready(job(build, tmp_path, two_pairs(build, name), groups)) == [[at] for at in expected]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([WORLD], [15, 15, 15, 15]),
        (DATA, [14, 15, 14, 15]),
        ([WORLD, *DATA], [-1] * 4),
        ([WORLD, ("9", "alone", [0])], [15, 15, 15, 15]),
        ([("1", "", [0, 1])], [12, 12, -1, -1]),  # of 2 and 3 nothing is known but a smaller group
    ],
)
def test_a_coalesced_collective_without_a_record(build, tmp_path: Path, groups, expected) -> None:
    run = job(build, tmp_path, two_pairs(build, REDUCE), groups)
    assert ready(run) == [[at] for at in expected]


def test_the_calls_before_a_coalesced_kernel_name_its_group(build, tmp_path: Path) -> None:
    said = {"Collective name": "_reduce_scatter_base", "Process Group Name": "3"}
    ranks = [
        [
            build.step(1, 0, 90),
            build.operator("record_param_comms", 1, 1, **said),
            build.operator("record_param_comms", 3, 1, **said),
            build.operator("record_param_comms", 4.5, 0.2, **{"Collective name": "wait"}),
            type(build.kernel)()(GENERIC, 5, start, 40 - start),
        ]
        for start in (10, 12)
    ]
    run = job(build, tmp_path, ranks, [("0", "", [0, 1]), ("3", "", [0, 1])])
    assert run.events["kind"].tolist() == ["reduce_scatter"] * 2
    assert run.events["group"].tolist() == ["3", "3"]
    assert ready(run) == [[12], [12]]


@pytest.mark.parametrize("other", [{"Collective name": "allreduce"}, {"Process Group Name": "4"}])
def test_calls_of_two_sorts_before_a_kernel_say_nothing(build, other) -> None:
    said = {"Collective name": "_reduce_scatter_base", "Process Group Name": "3"}
    events = [
        build.operator("record_param_comms", 1, 1, **said),
        build.operator("record_param_comms", 3, 1, **(said | other)),
        build.kernel(REDUCE, 5, 10, 5),
    ]
    assert build.tables(events).events["group"].tolist() == [""]


def test_bare_message_kernels_of_three_ranks_are_not_matched(build, tmp_path: Path) -> None:
    ranks = [
        [build.step(1, 0, 90), type(build.kernel)()(SENDRECV, 1, 10 + rank, 30)]
        for rank in range(3)
    ]
    assert ready(job(build, tmp_path, ranks)) == [[-1]] * 3


def table(*rows):
    """Bare all-reduces: rank, step, start, end, lane and name."""
    names = ("rank", "step", "start_ns", "end_ns", "lane", "name")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return make_table(EVENTS, {**columns, "kind": ["all_reduce"] * len(rows)})


def numbers(events: pd.DataFrame, size: int) -> list[int]:
    peers = OperationPeers(tuple(range(size)), size, {})
    return match_by_order(events, peers, np.zeros(len(events), dtype=bool)).number.tolist()


def test_a_step_that_contradicts_causality_spoils_no_other() -> None:
    good = [(rank, 1, 10 + rank, 20, "s", "a") for rank in range(3)]
    bad = [(0, 2, 30, 40, "s", "a"), (1, 2, 41, 50, "s", "a"), (2, 2, 31, 50, "s", "a")]
    assert numbers(table(*good, *bad), 3) == [0, 0, 0, -1, -1, -1]


@pytest.mark.parametrize(
    ("ends_us", "expected"),
    [
        ((400, 410, 400), [0, 0, 0]),  # who comes later makes the others wait
        ((400, 460, 460), [-1, -1, -1]),  # each takes its 100 us: rank 0 waited for nobody
    ],
)
def test_collectives_over_all_ranks_end_together_or_are_of_several_groups(
    ends_us, expected
) -> None:
    starts_us = (300, 360, 360)
    rows = [(rank, 1, starts_us[rank] * 1000, ends_us[rank] * 1000, "s", "a") for rank in range(3)]
    assert numbers(table(*rows).assign(correlation=[4, 5, 6]), 3) == expected


def test_kernels_of_no_known_kind_are_not_matched_by_order(build, tmp_path: Path) -> None:
    run = job(build, tmp_path, two_pairs(build, GENERIC), [WORLD])
    assert run.events["kind"].tolist() == ["comm_other"] * 4
    assert ready(run) == [[-1]] * 4


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([("s", "a"), ("s", "b")], [0, 1, 0, 1]),
        ([("s", "b"), ("s", "a")], [-1] * 4),  # another order of names
        ([("s", "a"), ("t", "b")], [-1] * 4),  # two streams: which came first is not certain
    ],
)
def test_order_counts_only_where_all_ranks_did_the_same(second, expected) -> None:
    first = [(0, 0, 10, 20, "s", "a"), (0, 0, 30, 40, "s", "b")]
    rows = [(1, 0, at, at + 10, *what) for at, what in zip((10, 30), second, strict=True)]
    assert numbers(table(*first, *rows), 2) == expected


def test_threads_of_gloo_are_one_queue() -> None:
    """DDP with `find_unused_parameters`: two reductions at once, on whichever thread is free."""
    first = [(0, 0, 10, 50, "s", "gloo:all_reduce"), (0, 0, 11, 50, "t", "gloo:all_reduce")]
    second = [(1, 0, 40, 50, "t", "gloo:all_reduce"), (1, 0, 41, 50, "t", "gloo:all_reduce")]
    assert numbers(table(*first, *second), 2) == [0, 1, 0, 1]


ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)"


def said(elements: int, **more) -> dict:
    return {
        "Collective name": "allreduce",
        "Process Group Name": "0",
        "dtype": "Half",
        "In msg nelems": elements,
    } | more


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([10, 20], [10, 20], [[11, 31], [11, 31]]),
        ([10, 20], [20], [[-1, -1], [-1]]),  # the first of rank 1 is lost
        ([10, 20], [20, 30], [[-1, -1], [-1, -1]]),  # and so is the last of rank 0
    ],
)
def test_numbers_by_order_need_equal_counts_and_sizes(
    build, tmp_path: Path, first, second, expected
) -> None:
    ranks = []
    for rank, sizes in enumerate((first, second)):
        kernel = type(build.kernel)()
        rows = [
            kernel(ALL_REDUCE, 1 + at, 10 + 20 * at + rank, 15, **said(size))
            for at, size in enumerate(sizes)
        ]
        ranks.append([build.step(1, 0, 90), *rows])
    assert ready(job(build, tmp_path, ranks, [("0", "", [0, 1])])) == expected


@pytest.mark.parametrize("word", ["Seq", "Comms Id"])
def test_written_numbers_need_no_order(build, tmp_path: Path, word: str) -> None:
    ranks = []
    for rank, written in enumerate(([71, 72], [72])):
        kernel = type(build.kernel)()
        rows = [
            kernel(ALL_REDUCE, 1 + at, 20 * number - 1400 + rank, 15, **said(8, **{word: number}))
            for at, number in enumerate(written)
        ]
        ranks.append([build.step(1, 0, 90), *rows])
    run = job(build, tmp_path, ranks, [("0", "", [0, 1])])
    assert ready(run) == [[-1, 41], [41]]


def message(number: int, ranks: list[int], *, sends: bool = True) -> Collective:
    source, destination = (-1, number) if sends else (number, -1)
    return Collective("send", "1", "", json.dumps(ranks), "", -1, source, destination, -1)


@pytest.mark.parametrize(
    ("rank", "number", "ranks", "expected"),
    [
        (0, 1, [0, 2], 2),  # rank 1 is not in the group
        (0, 2, [0, 2], 2),  # the group has no member 2
        (3, 1, [1, 3], 1),  # member 1 is this rank
        (1, 1, [1, 3], 3),  # rank 1 is this rank
        (2, 3, [0, 1, 2, 3], 3),
        (3, 1, [1, 2, 3], -1),  # member 1 is rank 2: two readings
        (3, 7, [1, 2, 3], -1),
    ],
)
def test_numbers_of_a_group_are_not_read_as_ranks(rank, number, ranks, expected) -> None:
    own = OwnGroups.of(rank, [ProcessGroup("1", "", tuple(ranks))])
    one = message(number, ranks)
    assert PeerNumbers(own, [one]).peer(one) == expected


@pytest.mark.parametrize(
    ("other", "expected"), [(message(0, [1, 2, 3]), 2), (message(9, [1, 2, 3, 9]), 1)]
)
def test_another_message_tells_how_a_trace_counts(other, expected) -> None:
    own = OwnGroups.of(3, [ProcessGroup("1", "", (1, 2, 3))])
    one = message(1, [1, 2, 3])
    assert PeerNumbers(own, [one, other]).peer(one) == expected


@pytest.mark.parametrize(
    ("rank", "words", "groups", "expected"),
    [
        (0, (0, 1), [], 1),
        (2, (0, 1), [], -1),
        (0, (0, 1), [(0, 1, 2, 3)], 1),
        (0, (0, 1), [(0, 2)], 2),
        (0, (0, 1), [(0, 1, 2, 3), (0, 2)], -1),
        (2, (1, 0), [(0, 1, 2, 3), (0, 2)], 0),
    ],
)
def test_the_words_of_nccl_count_within_a_group(rank, words, groups, expected) -> None:
    own = OwnGroups.of(rank, [ProcessGroup(str(n), "", one) for n, one in enumerate(groups)])
    assert peer_in_words(own, *words) == expected


@pytest.mark.parametrize("ranks", [(0, 1), (3,), (0, 1, 2, 8, 10, 11), tuple(range(0, 64, 8))])
def test_a_group_by_its_ranks(ranks) -> None:
    assert ranks_in(ranks_text(ranks)) == ranks
    assert ranks_in("ranks of mine") == ()


def test_a_size_can_single_out_the_group(build, tmp_path: Path) -> None:
    words = {"Collective name": "allreduce", "Group size": 2}
    ranks = [
        [build.step(1, 0, 90), type(build.kernel)()(ALL_REDUCE, 1, start, 40 - start, **words)]
        for start in (10, 12, 14, 15)
    ]
    assert ready(job(build, tmp_path, ranks, [WORLD, *DATA])) == [[14], [15], [14], [15]]


def test_a_communication_that_is_open_at_the_end_is_cut_there(build) -> None:
    events = [
        build.step(1, 0, 100),
        build.operator("aten::mm", 10, 20),
        build.annotation("gloo:all_reduce", 40, 10),
        build.annotation("gloo:all_reduce", 60, 900, tid=12),
    ]
    rank = build.tables(events)
    assert rank.events[["start_ns", "end_ns"]].values.tolist() == [
        [10_000, 30_000],
        [40_000, 50_000],
        [60_000, 100_000],
    ]
    assert "1 communications were still open when the profiler stopped" in rank.warnings[0]
    assert not build.tables(events[:-1]).warnings


def test_messages_of_gloo_by_the_inputs_of_their_calls(build, tmp_path: Path) -> None:
    def message(way: str, peer: int, at: float, until: float, tag: int = 0):
        name = "c10d::send" if way == "send" else "c10d::recv_"
        inputs = {"Concrete Inputs": ["", "", str(peer), str(tag)], "Input Dims": [[[4, 8]], []]}
        own = {"Concrete Inputs": [""], "Input Dims": [[4, 8]], "Input type": ["float"]}
        span = build.annotation(f"gloo:{way}", at + 1, until - at - 1)
        return [build.operator(name, at, 3, **inputs), span | {"args": own}]

    ranks = [
        [
            build.step(1, 0, 200),
            build.operator("aten::mm", 1, 19),
            message("send", 1, 20, 150),
            build.operator("aten::mm", 30, 60),
        ],
        [
            build.step(1, 0, 200),
            message("recv", 0, 4, 40),
            build.operator("aten::mm", 41, 100),
        ],
    ]
    run = job(build, tmp_path, ranks)
    messages = run.events[run.events["kind"] == "p2p"]
    shown = ["group", "peer", "bytes", "start_ns", "end_ns", "ready_ns"]
    assert messages[shown].values.tolist() == [
        ["0>1", 1, 128, 20_000, 40_000, 20_000],  # over when it is received, not when waited for
        ["0>1", 0, 128, 4_000, 40_000, 20_000],
    ]
    assert run.evidence == ()


def test_hooks_of_autograd_that_wait_do_not_compute(build) -> None:
    rank = build.tables(
        [
            build.step(1, 0, 100),
            build.operator("autograd::engine::evaluate_function: MmBackward", 10, 80),
            build.operator("c10d::_allgather_base_", 11, 40),
            build.operator("MmBackward", 60, 29),
            build.operator("aten::mm", 61, 27),
        ]
    )
    assert rank.events[["name", "start_ns", "end_ns"]].values.tolist() == [
        ["MmBackward", 60_000, 89_000]
    ]


def test_messages_without_peers_leave_bubbles_unknown(build, tmp_path: Path) -> None:
    ranks = [
        [
            build.step(1, 0, 200),
            build.operator("aten::mm", 1, 50),
            build.annotation("gloo:send", 20, 100),
        ]
        for _ in range(2)
    ]
    report = analyze(job(build, tmp_path, ranks))
    (evidence,) = report.evidence
    assert (evidence.check, evidence.found, evidence.of) == ("unmatched-messages", 2, 2)
    assert "record_shapes=True" in evidence.text
    total = report.total
    assert (total.bubble_share, total.hidden_share, total.wait_ns) == (None, None, None)
    assert (total.hidden_ns, report.regions, report.waited_for) == (0, [], [])
    assert report.critical_path is None


def test_a_batch_takes_no_calls_of_another_group(build, tmp_path: Path) -> None:
    def call(way: str, peer: int, at: float, group: str):
        side = "Dst Rank" if way == "send" else "Src Rank"
        ranks = {"Process Group Name": group, "Process Group Ranks": "[0, 1]", side: peer}
        return build.operator("record_param_comms", at, 1, **{"Collective name": way} | ranks)

    ranks = [
        [
            build.step(1, 0, 90),
            call("send", 1 - rank, 2, "lost"),  # its kernel is not in the trace
            call("send", 1 - rank, 4, "7"),
            call("recv", 1 - rank, 6, "7"),
            type(build.kernel)()(SENDRECV, 8, 10 + rank, 20),
        ]
        for rank in (0, 1)
    ]
    run = job(build, tmp_path, ranks)
    assert run.events["group"].tolist() == ["0>1 1>0", "1>0 0>1"]
    assert ready(run) == [[11], [11]]
