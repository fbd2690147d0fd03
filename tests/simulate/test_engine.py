"""Messages on their edges, and what cannot be simulated."""

from __future__ import annotations

import re

import pytest

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import Action, Operation, parse_slot
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Placement, Schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_profile


def schedule(*ranks, stages=None, streams=(0,)):
    slots = tuple(tuple(parse_slot(text) for text in rank.split()) for rank in ranks)
    stages = stages or tuple((rank,) for rank in range(len(ranks)))
    return Schedule("example", 1, Placement(stages, streams), slots)


def timing(message_ns=0, **operation_ns):
    costs = {"F": 10, "B": 20, "F&B": 25, **operation_ns}
    message = MessageCost(bytes=128, bytes_per_second=128e9 / message_ns if message_ns else None)
    return timing_from_profile(CostProfile(name="test", operation_ns=costs, message=message))


def test_messages_on_one_edge_wait_for_each_other():
    step = simulate(schedule("F0.0 F0.1 B0.0 B0.1", "F0.0 F0.1 B0.0 B0.1"), timing(15))
    messages = step.messages
    assert [step.producer(number) for number in range(len(messages))] == [
        Action(Operation(operation), 0, number) for operation in "FB" for number in (0, 1)
    ]
    assert messages.source.tolist() == [0, 0, 1, 1]
    assert messages.target.tolist() == [1, 1, 0, 0]
    assert messages.ready_ns.tolist() == [10, 20, 70, 90]
    assert messages.start_ns.tolist() == [10, 25, 70, 90]
    assert messages.arrival_ns.tolist() == [25, 40, 85, 105]
    assert [starts.tolist() for starts in step.starts_ns] == [[0, 10, 85, 105], [25, 40, 50, 70]]
    assert (step.makespan_ns, step.busy_ns, step.idle_ns) == (125, (60, 60), (65, 65))


def test_batched_commits_hold_the_sender_back():
    step = simulate(schedule("F0.0 F0.1 B0.0 B0.1", "F0.0 F0.1 B0.0 B0.1"), timing(15), "batched")
    assert [starts.tolist() for starts in step.starts_ns] == [[0, 25, 95, 130], [25, 50, 60, 95]]


def test_a_pair_publishes_both_results_at_its_end_forward_first():
    # Two streams: stage 0 of direction 0 and stage 1 of direction 1 are on rank 0.
    ranks = ("F0.0 F1.0 F0.1&B1.0 B0.0 B0.1", "F1.0 F0.0 B0.0 F0.1 B1.0 B0.1")
    step = simulate(schedule(*ranks, stages=((0, 1), (1, 0)), streams=(0, 1)), timing(2))
    pair = [
        (str(step.producer(number)), int(step.messages.start_ns[number]))
        for number in range(len(step.messages))
        if step.messages.source[number] == 0 and step.messages.producer_slot[number] == 2
    ]
    end = int(step.ends_ns[0][2])
    assert pair == [("F0.1", end), ("B1.0", end + 2)]


def test_a_result_for_the_same_rank_takes_no_time():
    folded = schedule("F0.0 F1.0 B1.0 B0.0", stages=((0, 1),), streams=(0, 0))
    step = simulate(folded, timing(1000))
    assert len(step.messages) == 0
    assert step.ends_ns[0].tolist() == [10, 20, 40, 60]


def refused(text, *arguments):
    with pytest.raises(DpprofError, match=re.escape(text)):
        simulate(*arguments)


def test_what_cannot_run_is_refused():
    wait = schedule("F0.0 F0.1 B0.1 B0.0", "F0.0 B0.0 F0.1 B0.1")
    assert simulate(wait, timing()).makespan_ns == 110
    circle = schedule("F0.0 B0.0 F0.1 B0.1", "F0.0 F0.1 B0.0 B0.1")
    refused("example deadlocks: B0.0 of pipeline rank 0 never starts, 2 of 2", circle, timing())
    refused("F0.0 needs F0.0 of pipeline rank 0, which", schedule("", "F0.0 B0.0"), timing())
    refused("B0.0 comes before F0.0, which it needs", schedule("B0.0 F0.0"), timing())
    refused("F0.0 is there more than once", schedule("F0.0 F0.0 B0.0"), timing())
    refused("no time for I on pipeline rank 0", schedule("F0.0 I0.0 W0.0"), timing())
    refused(
        "unknown communication 'fast'; choose eager or", schedule("F0.0 B0.0"), timing(), "fast"
    )
    refused("over 100 years", schedule("F0.0 B0.0"), timing(F=2**62))


def test_an_empty_schedule_takes_no_time():
    assert simulate(schedule("", ""), timing()).makespan_ns == 0


def test_latency_delays_messages_but_does_not_keep_their_edge_busy():
    """The makespans are those of an independent simulator, with messages of 0.05 F."""
    costs = {"F": 1000, "B": 2000, "I": 1000, "W": 1000, "F&B": 2500}
    profile = CostProfile(name="late", operation_ns=costs, message=MessageCost(latency_ns=50))
    step = simulate(make_schedule("dualpipe", 8, 20), timing_from_profile(profile))
    assert step.makespan_ns == 60_300
