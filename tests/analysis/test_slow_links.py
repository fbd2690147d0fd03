"""The link whose messages take longer than those of the others is named, with what that costs."""

from __future__ import annotations

import pytest

from dpprof.analysis.observations import SlowLink
from dpprof.analysis.slow_links import slow_links
from tests.conftest import build_run

STEP_NS, MESSAGES, USUAL = 100_000, 4, 100


def run_of(takes=None, *, late=0, computing=0, size=-1, steps=3, name="wait", ready=True):
    """A ring of three ranks; `takes` is how long messages of (sender, step) travel.

    Receives begin `late` after the sends (or before, below 0), and `computing` ns of each are
    beside computing. `size` is that of the messages of 1>2, in a hundred bytes otherwise.
    """
    events = []
    for step in range(steps):
        for sender in range(3):
            receiver = (sender + 1) % 3
            for number in range(MESSAGES):
                sent = step * STEP_NS + 10_000 * (1 + number)
                end = sent + (takes or {}).get((sender, step), USUAL)
                common = {"rank": receiver, "step": step, "end_ns": end}
                events.append(
                    {**common, "kind": "p2p", "group": f"{sender}>{receiver}@{number % 2}"}
                    | {"start_ns": min(sent + late, end), "ready_ns": sent if ready else -1}
                    | {"bytes": size if sender == 1 and size > 0 else 100, "name": name}
                )
                if computing:
                    events.append({**common, "kind": "compute", "start_ns": end - computing})
    return build_run(events, used_steps=tuple(range(steps)), world_size=3)


SLOW = {(1, step): 3_000 for step in range(3)}


def test_links_that_are_alike_are_not_named():
    assert slow_links(run_of(), STEP_NS) == []


@pytest.mark.parametrize(("slow", "is_named"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_link_is_slow_where_nearly_all_its_messages_are(slow, is_named):
    events = []
    for step in range(3):
        for sender in range(3):
            for number in range(MESSAGES):
                sent = step * STEP_NS + 10_000 * (1 + number)
                takes = 5_000 if sender == 1 and number < slow else USUAL
                events.append(
                    {
                        "rank": (sender + 1) % 3,
                        "step": step,
                        "kind": "p2p",
                        "group": f"{sender}>{(sender + 1) % 3}@0",
                    }
                    | {
                        "start_ns": sent,
                        "ready_ns": sent,
                        "end_ns": sent + takes,
                        "bytes": 100,
                        "name": "wait",
                    }
                )
    run = build_run(events, used_steps=(0, 1, 2), world_size=3)
    assert bool(slow_links(run, STEP_NS)) == is_named


@pytest.mark.parametrize("late", [-5_000, 0, 50])
def test_the_slow_link_is_named_whenever_its_receiver_comes(late):
    waits = max(late, 0)
    assert slow_links(run_of(SLOW, late=late), STEP_NS) == [
        SlowLink(
            sender=1,
            receiver=2,
            messages=MESSAGES,
            message_ns=3_000 - waits,
            others_ns=USUAL - waits,
            excess_ns=MESSAGES * (3_000 - USUAL),
        )
    ]


def test_what_computing_hides_costs_nothing():
    [link] = slow_links(run_of(SLOW, computing=1_000), STEP_NS)
    assert link.excess_ns == MESSAGES * (2_000 - USUAL)
    assert slow_links(run_of(SLOW, computing=2_800), STEP_NS) == []


def test_what_costs_less_than_a_hundredth_of_the_step_is_not_named():
    assert slow_links(run_of(SLOW), MESSAGES * (3_000 - USUAL) * 100 + 100) == []
    assert slow_links(run_of(SLOW), MESSAGES * (3_000 - USUAL) * 100) != []


def test_a_pause_in_one_step_is_no_slow_link():
    assert slow_links(run_of({(1, 1): 9_000}), STEP_NS) == []


def test_larger_messages_may_take_longer():
    assert slow_links(run_of(SLOW, size=2_000), STEP_NS) == []
    assert slow_links(run_of(SLOW, size=1_000), STEP_NS) != []


@pytest.mark.parametrize("other", [{"ready": False}, {"name": "gloo:recv"}])
def test_messages_of_which_nobody_knows_when_they_were_sent_say_nothing(other):
    assert slow_links(run_of(SLOW, **other), STEP_NS) == []


def test_without_a_step_nothing_is_named():
    assert slow_links(run_of(SLOW), None) == []
