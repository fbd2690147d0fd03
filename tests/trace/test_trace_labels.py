"""Labels on a CPU add to what the trace holds; they never erase it."""

from __future__ import annotations

import pytest

from dpprof.trace.load import load_run

FORWARD = "dpprof:slot slot=F0.3"
ALL_TO_ALL = "dpprof:all_to_all group=ep sequence=0"
SEND = "dpprof:p2p way=send group=0>1 peer=1 sequence=0"


def spans(result):
    """Kind, name, start and end in microseconds of every activity, by start."""
    events = result.events.sort_values("start_ns", kind="stable")
    rows = zip(events["kind"], events["name"], events["start_ns"], events["end_ns"], strict=True)
    return [(kind, name, start // 1000, end // 1000) for kind, name, start, end in rows]


def slots(result):
    return result.slots["slot"].tolist()


def test_operators_beside_a_label_count_and_those_inside_are_the_label(build):
    result = build.tables(
        [
            build.step(1, 0, 100),
            build.operator("aten::mm", 1, 30),
            build.operator(ALL_TO_ALL, 40, 20),
            build.operator("aten::copy_", 45, 5),
            build.operator("aten::mm", 70, 10),
        ]
    )
    assert spans(result) == [
        ("compute", "aten::mm", 1, 31),
        ("all_to_all", "all_to_all", 40, 60),
        ("compute", "aten::mm", 70, 80),
    ]


def test_an_operator_around_a_label_counts_by_what_is_in_it(build):
    result = build.tables(
        [
            build.step(1, 0, 100),
            build.operator("autograd::engine::evaluate_function: Moe", 1, 90),
            build.operator("aten::mm", 2, 30),
            build.operator(ALL_TO_ALL, 40, 20),
            build.operator("aten::mm", 62, 10),
        ]
    )
    assert spans(result) == [
        ("compute", "aten::mm", 2, 32),
        ("all_to_all", "all_to_all", 40, 60),
        ("compute", "aten::mm", 62, 72),
    ]


def test_an_emulated_run_is_its_labels_alone(build):
    events = [build.step(1, 0, 100), build.operator("aten::mm", 1, 30)]
    events.append(build.operator("dpprof:compute slot=F0.0 action=F0.0", 40, 20))
    assert len(build.tables(events).events) == 2
    emulated = build.tables(events, dpprof={"source": "emulated"})
    assert spans(emulated) == [("compute", "compute", 40, 60)]


def test_operators_in_a_slot_are_of_its_action(build):
    result = build.tables(
        [build.step(1, 0, 100), build.operator(FORWARD, 1, 50), build.operator("aten::mm", 2, 30)]
    )
    row = result.events.iloc[0]
    assert (row["slot"], row["operation"], row["part"]) == ("F0.3", "F", "F")
    assert (row["direction"], row["micro_batch"]) == (0, 3)


@pytest.mark.parametrize(("at", "length"), [(0, 60), (5, 20)])
def test_own_slots_win_over_a_frameworks_for_the_same_span(build, at, length):
    result = build.tables(
        [
            build.step(1, 0, 200),
            build.annotation("Forward 7", at, length),  # around the own slot, or inside it
            build.operator(FORWARD, 1, 50),
            build.operator("aten::mm", 6, 10),
            build.annotation("Backward 3", 100, 50),
            build.operator("aten::mm", 110, 10),
        ]
    )
    assert slots(result) == ["F0.3", "B0.3"]
    assert result.events["slot"].tolist() == ["F0.3", "B0.3"]


def test_the_librarys_spans_count_unless_a_label_tells_of_them(build):
    result = build.tables(
        [
            build.step(1, 0, 200),
            build.operator(SEND, 1, 5),
            build.annotation("gloo:send", 2, 150),
            build.annotation("gloo:recv", 20, 50),  # labelled where it is waited for
            build.operator("dpprof:p2p way=recv group=1>0 peer=1 sequence=0", 60, 10),
            build.operator("dpprof:all_reduce group=dp sequence=0", 80, 10),
            build.annotation("gloo:all_reduce", 81, 60),
            build.annotation("gloo:all_gather", 100, 10),
        ]
    )
    assert [row[:2] for row in spans(result)] == [
        ("p2p", "send"),
        ("p2p", "recv"),
        ("all_reduce", "all_reduce"),
        ("all_gather", "gloo:all_gather"),
    ]


def test_a_message_that_is_waited_for_late_began_when_it_was_posted(build, tmp_path):
    """Its sender may wait for it long after the receiver has it: that contradicts nothing."""
    send = "dpprof:p2p way=send group=0>1 peer=1 sequence=0"
    receive = "dpprof:p2p way=recv group=0>1 peer=0 sequence=0"
    sides = {
        0: [build.operator(send, 10, 5), build.operator(send, 80, 5)],
        1: [build.operator(receive, 2, 18)],
    }
    for rank, events in sides.items():
        events.append(build.step(1, 0, 100))
        build.write(tmp_path / f"rank{rank}.json", events)
    events = load_run(tmp_path).events
    received = events[events["rank"] == 1].iloc[0]
    assert (events["ready_ns"] >= 0).all()
    assert received["ready_ns"] == 10_000
