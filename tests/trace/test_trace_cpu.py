"""Runs without a GPU: dpprof's labels, or operators and the library's spans."""

from __future__ import annotations

import pytest

from dpprof.trace.load import load_run
from dpprof.trace.read import parse

COMM, SEND = 21, 22
ACTION = "slot=F0.3 action=F0.3 part=F"


def columns(table, *names):
    return list(zip(*(table[name].tolist() for name in names), strict=True))


def labelled(build):
    return [
        build.step(2, 0, 100),
        build.annotation("dpprof:slot slot=F0.3", 1, 50),
        # torch's fast profiler ranges are written as operators
        build.operator(f"dpprof:compute {ACTION} component=mlp layer=0 stage=1", 2.5, 10.001),
        build.operator("aten::mm", 3, 5),
        build.annotation(
            f"dpprof:dispatch {ACTION} component=dispatch layer=0 stage=1 group=ep.0 bytes=64"
            " sequence=0",
            5,
            20,
            COMM,
        ),
        build.annotation(
            "dpprof:p2p action=F0.3 part=F stage=1 way=send group=0>1 peer=1 bytes=9 sequence=4",
            60,
            5,
            SEND,
        ),
        build.thread(COMM, "communication"),
        build.thread(SEND, "send >1"),
        build.thread(11, "python3.11"),
    ]


def test_labels_are_the_activities(build) -> None:
    rank = build.tables(labelled(build), distributedInfo={"rank": 0})
    found = columns(
        rank.events, "lane", "start_ns", "end_ns", "kind", "name", "step", "slot", "operation"
    )
    assert found == [
        ("compute", 2500, 12501, "compute", "mlp(F)", 2, "F0.3", "F"),
        ("communication", 5000, 25000, "dispatch", "dispatch(F)", 2, "F0.3", "F"),
        ("send >1", 60000, 65000, "p2p", "send", 2, "", "F"),
    ]
    assert columns(
        rank.events, "stage", "direction", "micro_batch", "part", "component", "layer"
    ) == [
        (1, 0, 3, "F", "mlp", 0),
        (1, 0, 3, "F", "dispatch", 0),
        (1, 0, 3, "F", "", -1),
    ]
    assert columns(rank.events, "group", "peer", "bytes", "sequence", "launch_ns") == [
        ("", -1, -1, -1, -1),
        ("ep.0", -1, 64, 0, -1),
        ("0>1", 1, 9, 4, -1),
    ]
    assert columns(rank.slots, "step", "start_ns", "end_ns", "slot", "operation") == [
        (2, 1000, 51000, "F0.3", "F")
    ]
    assert set(rank.explained["rule"]) == {"label"}


def test_threads_of_one_name_are_told_apart(build) -> None:
    events = [build.annotation("dpprof:p2p way=send", 1, 1, tid) for tid in (21, 22, 23)]
    events += [build.thread(21, "lane"), build.thread(22, "lane")]
    assert build.tables(events).events["lane"].tolist() == ["lane", "lane 22", "thread 23"]


def test_without_labels_outermost_operators_and_library_spans(build) -> None:
    rank = build.tables(
        [
            build.step(0, 0, 100),
            build.annotation("forward", 0, 90),
            build.operator("aten::linear", 1, 10),
            build.operator("aten::mm", 2, 5),
            build.operator("c10d::allreduce_", 12, 2),
            build.annotation("gloo:all_reduce", 13, 30, 21),
            build.operator("aten::add", 20, 2),
            build.operator("aten::add", 150, 2),
        ]
    )
    assert columns(rank.events, "kind", "name", "step", "lane") == [
        ("compute", "aten::linear", 0, "thread 11"),
        ("all_reduce", "gloo:all_reduce", 0, "thread 21"),
        ("compute", "aten::add", 0, "thread 11"),
        ("compute", "aten::add", -1, "thread 11"),
    ]


def test_torchs_pipelining_annotations_name_slots(build) -> None:
    rank = build.tables(
        [
            build.annotation("PP:1F0", 0, 10),
            build.operator("aten::linear", 1, 5),
            build.annotation("PP:1SEND_F0", 12, 5),
            build.annotation("gloo:send", 13, 3),
            build.annotation("PP:(1F1;2B0)OVERLAP_F_B", 20, 10),
            build.operator("aten::linear", 21, 5),
        ]
    )
    assert columns(
        rank.events, "kind", "slot", "direction", "micro_batch", "part", "stage", "operation"
    ) == [
        ("compute", "F0.0", 0, 0, "F", 1, "F"),
        ("p2p", "", 0, 0, "F", 1, ""),
        ("compute", "F0.1&B1.0", -1, -1, "", -1, "F&B"),
    ]
    assert columns(rank.slots, "start_ns", "end_ns", "slot") == [
        (0, 10000, "F0.0"),
        (20000, 30000, "F0.1&B1.0"),
    ]


def test_memory_of_the_host_counts_from_what_was_there_before(build) -> None:
    events = [
        build.step(7, 5, 10),
        build.memory(6, 100),
        build.memory(4.5, 50),
        build.memory(7, 999, kind=1),
    ]
    rank = build.tables(events, dpprof={"allocated_before_bytes": 1000})
    assert columns(rank.memory, "rank", "step", "at_ns", "allocated_bytes", "reserved_bytes") == [
        (0, -1, 4500, 1050, -1),
        (0, 7, 6000, 1100, -1),
    ]


def test_memory_of_the_device_on_a_gpu(build) -> None:
    kernel = build.kernel("k", 1, 2, 1)
    for kind in (1, 6):
        events = [kernel, build.memory(5, 100), build.memory(6, 300, kind=kind)]
        assert columns(
            build.tables(events).memory, "at_ns", "allocated_bytes", "reserved_bytes"
        ) == [(6000, 300, 600)]


def test_old_traces_give_only_changes_of_memory(build) -> None:
    events = [build.memory(ts, 0) for ts in (1, 2, 3)]
    for event, change in zip(events, (10, -30, 15), strict=True):
        event["args"] = {"Device Type": 0, "Device Id": -1, "Bytes": change}
    assert build.tables(events).memory["allocated_bytes"].tolist() == [30, 0, 15]


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_activations_by_the_addresses_of_memory_events(build, monkeypatch, engine) -> None:
    monkeypatch.setattr(parse, "has_compiled", lambda: engine == "compiled")
    held = [(1, 7, 100), (2, 8, 200), (3, 7, -100), (12, 8, -200)]

    def events(**more):
        changes = [
            build.memory(at, 0, kind=1, Bytes=size, **({"Addr": address} | more))
            for at, address, size in held
        ]
        slots = [build.annotation(name, at, 9) for name, at in (("PP:0F0", 0), ("PP:0B0", 10))]
        kernels = [build.kernel("k", at, at + 0.5, 1) for at in (0, 8, 10, 18)]
        return [*slots, *kernels, *changes]

    def activations(events):
        return build.tables(events).memory["activation_bytes"].tolist()

    assert activations(events()) == [0, 200, 200, 0]
    assert activations(events(Addr="0x7f")) == [-1] * 4
    assert activations(events(Addr=None)) == [-1] * 4
    assert activations(events()[2:]) == [-1] * 4  # no slots


def test_threads_of_several_processes_are_lanes_of_their_own(build) -> None:
    operators = [build.operator("aten::mm", 10 * pid, 5) | {"pid": pid} for pid in range(4)]
    lanes = build.tables(operators).events["lane"].tolist()
    assert lanes == ["thread 11", "thread 11 11", "thread 11 11 (2)", "thread 11 11 (3)"]


def test_a_rank_without_slots_joins_one_with_slots(build, tmp_path) -> None:
    for rank in (0, 1):
        label = "PP:0F0" if rank else "nothing"
        events = [build.annotation(label, 0, 9), build.operator("aten::mm", 1, 5)]
        info = {"rank": rank, "world_size": 2}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    assert load_run(tmp_path).slots["slot"].tolist() == ["F0.0"]
