"""Why ranks were idle, on steps small enough to see it."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.analysis.accounting.account import account
from dpprof.schedules.actions import parse_slot, slot_operation
from dpprof.schedules.schedule import Placement, Schedule

# Two ranks, one micro-batch: F on rank 0, F and B on rank 1, B on rank 0; then a second one.
SCHEDULE = Schedule(
    name="hand-made",
    micro_batches=2,
    placement=Placement(stages=((0,), (1,)), streams=(0,)),
    ranks=tuple(
        tuple(parse_slot(text) for text in rank.split())
        for rank in ("F0.0 B0.0 F0.1 B0.1", "F0.0 B0.0 F0.1 B0.1")
    ),
)


def regions(run: Any) -> list[tuple[Any, ...]]:
    columns = ["rank", "start_ns", "end_ns", "state", "cause_rank", "cause", "slot"]
    return list(account(run).regions[columns].itertuples(index=False, name=None))


@pytest.fixture(scope="session")
def labelled(make_run, event):
    """A run of SCHEDULE from (rank, slot, start, end) and further events."""

    def build(spans: list[tuple[int, str, int, int]], *events: Any, **fields: Any) -> Any:
        slots = [
            {
                "rank": rank,
                "slot": text,
                "start_ns": start,
                "end_ns": end,
                "operation": slot_operation(parse_slot(text)),
            }
            for rank, text, start, end in spans
        ]
        compute = [event(rank, start, end, slot=text) for rank, text, start, end in spans]
        return make_run([*compute, *events], slots=slots, schedule=SCHEDULE, **fields)

    return build


STEP = [
    (0, "F0.0", 0, 10),
    (1, "F0.0", 10, 20),
    (1, "B0.0", 20, 40),
    (0, "B0.0", 45, 65),  # its input was there at 40
    (0, "F0.1", 65, 75),
]


def test_the_schedule_names_the_dependency_and_the_rest_is_the_host(labelled) -> None:
    assert regions(labelled(STEP)) == [
        (0, 10, 40, "bubble.dependency", 1, "B0.0", "B0.0"),
        (0, 40, 45, "bubble.host", -1, "", "B0.0"),
        (1, 0, 10, "bubble.warmup", 0, "F0.0", "F0.0"),
        (1, 40, 75, "bubble.cooldown", -1, "", ""),
    ]


def test_a_simulated_run_has_no_host(labelled) -> None:
    run = labelled(STEP, source="simulated")
    assert regions(run)[1] == (0, 40, 45, "bubble.other", -1, "", "B0.0")


def test_the_message_of_a_slot_arrives_later_than_it_was_made(labelled, event) -> None:
    fields = {"group": "1>0", "peer": 1, "part": "I", "direction": 0, "micro_batch": 0}
    receive = event(0, 2, 44, "p2p", ready_ns=43, **fields)
    assert regions(labelled(STEP, receive))[:2] == [
        (0, 10, 43, "bubble.dependency", 1, "B0.0", "B0.0"),
        (0, 44, 45, "bubble.host", -1, "", "B0.0"),
    ]


def test_a_receive_posted_early_for_later_explains_nothing(labelled, event) -> None:
    fields = {"group": "1>0", "peer": 1, "part": "I", "direction": 0, "micro_batch": 1}
    receive = event(0, 2, 75, "p2p", ready_ns=70, **fields)
    assert (0, 40, 45, "bubble.host", -1, "", "B0.0") in regions(labelled(STEP, receive))


def test_a_send_that_ended_before_the_next_work_held_it_up(labelled, event) -> None:
    fields = {"group": "0>1", "peer": 1, "part": "F", "direction": 0, "micro_batch": 0}
    source = "simulated"
    send = event(0, 10, 45, "p2p", ready_ns=44, **fields)
    assert regions(labelled(STEP, send, source=source))[:2] == [
        (0, 10, 44, "bubble.dependency", 1, "B0.0", "B0.0"),
        (1, 0, 10, "bubble.warmup", 0, "F0.0", "F0.0"),
    ]


def test_without_the_peer_nothing_is_said_of_needs(labelled) -> None:
    run = labelled([span for span in STEP if span[0] == 0])
    assert regions(run) == [(0, 10, 45, "bubble.other", -1, "", "B0.0")]


def test_gaps_between_the_components_of_a_slot_are_the_host(make_run, event) -> None:
    run = make_run(
        [event(0, 0, 4), event(0, 6, 10)],
        slots=[{"rank": 0, "start_ns": 0, "end_ns": 10, "slot": "F0.0", "operation": "F"}],
    )
    assert regions(run) == [(0, 4, 6, "bubble.host", -1, "", "F0.0")]


def test_a_kernel_launched_after_the_device_was_free(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10, name="gemm", launch_ns=0),
            event(0, 30, 40, name="softmax", launch_ns=25),
            event(0, 50, 60, name="gemm", launch_ns=26),  # in the queue already
        ]
    )
    assert regions(run) == [
        (0, 10, 25, "bubble.host", -1, "softmax", ""),
        (0, 25, 30, "bubble.other", -1, "", ""),
        (0, 40, 50, "bubble.other", -1, "", ""),
    ]


def test_unlabelled_messages_and_collectives(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10),
            event(0, 10, 20, "p2p", ready_ns=18, peer=2),
            event(0, 20, 30, "all_reduce", ready_ns=25, group="dp", sequence=0),
            event(0, 30, 40),
            event(1, 25, 30, "all_reduce", ready_ns=25, group="dp", sequence=0),
            event(1, 30, 40),
        ]
    )
    assert regions(run)[:2] == [
        (0, 10, 18, "bubble.dependency", 2, "", ""),
        (0, 20, 25, "bubble.straggler", 1, "all_reduce", ""),
    ]


def test_slots_that_a_loop_named_in_its_own_way_say_nothing_of_needs(labelled, event) -> None:
    run = labelled(STEP)
    run.slots["slot"] = run.slots["slot"].cat.rename_categories({"B0.0": "my backward"})
    assert (0, 10, 45, "bubble.other", -1, "", "my backward") in regions(run)


RECEIVE = ("p2p", {"ready_ns": 20, "peer": 2, "group": "2>0"})
SEND = ("p2p", {"ready_ns": 20, "peer": 2, "group": "0>2"})
COLLECTIVE = ("all_reduce", {"ready_ns": 20, "group": "dp", "sequence": 0})


@pytest.mark.parametrize(
    ("waits", "state"),
    [
        ((RECEIVE, COLLECTIVE), "bubble.dependency"),
        ((COLLECTIVE, SEND), "bubble.straggler"),
        ((RECEIVE, SEND, COLLECTIVE), "bubble.dependency"),
        ((SEND,), "bubble.dependency"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_of_what_waits_at_one_time_the_strongest_names_it(
    make_run, event, waits, state, turned
) -> None:
    order = reversed(waits) if turned else waits
    both = [event(0, 10, 22, kind, lane=str(i), **more) for i, (kind, more) in enumerate(order)]
    late = event(1, 20, 22, "all_reduce", ready_ns=20, group="dp", sequence=0)
    others = [event(1, 0, 40, lane="other")]
    run = make_run([event(0, 0, 10), *both, event(0, 22, 40), late, *others])
    assert regions(run)[0][:4] == (0, 10, 20, state)


def test_an_input_that_is_missing_comes_before_a_straggler(labelled, event) -> None:
    group = {"ready_ns": 38, "group": "dp", "sequence": 0}
    waits = event(0, 10, 39, "all_reduce", **group)
    late = event(1, 38, 39, "all_reduce", lane="other", **group)
    run = labelled(STEP, waits, late)
    assert next(one[:4] for one in regions(run) if one[0] == 0) == (
        0,
        10,
        38,
        "bubble.dependency",
    )


@pytest.mark.parametrize(("launch", "state"), [(-1, "bubble.host"), (0, "bubble.other")])
def test_gaps_in_slots_are_the_host_only_where_no_launch_is_known(
    make_run, event, launch, state
) -> None:
    run = make_run(
        [event(0, 0, 4, launch_ns=launch), event(0, 6, 10)],
        slots=[{"rank": 0, "start_ns": 0, "end_ns": 10, "slot": "F0.0", "operation": "F"}],
    )
    assert regions(run) == [(0, 4, 6, state, -1, "", "F0.0")]
