"""The slot that is slower than its siblings is named, with what it spends the time on."""

from __future__ import annotations

import pytest

from dpprof.analysis.observations import SlowSlot
from dpprof.analysis.slow_slots import newly_slow, slot_lengths, slow_slots
from tests.conftest import build_run


def run_of(slots, gap=None):
    """A rank whose slots come one after the other, each computing all its time (but for a gap)."""
    rows, events, at = [], [], 0
    for step in (0, 1):
        for slot, length in slots:
            rows.append(
                {"rank": 2, "step": step, "slot": slot, "operation": slot[0]}
                | {"start_ns": at, "end_ns": at + length}
            )
            end = at + length - (gap[1] if gap and gap[0] == slot else 0)
            events.append(
                {"rank": 2, "step": step, "kind": "compute", "start_ns": at, "end_ns": end}
            )
            at += length
    return build_run(events, slots=rows, used_steps=(0, 1))


EVEN = [(f"F0.{n}", 20) for n in range(4)] + [(f"B0.{n}", 40) for n in range(4)]


def named(run):
    return [
        (o.rank, o.slot, o.what, o.length_ns, o.siblings_ns)
        for o in slow_slots(slot_lengths(run), 300)
    ]


def test_slots_that_are_alike_are_not_named():
    assert named(run_of(EVEN)) == []


@pytest.mark.parametrize(("slot", "usual"), [("F0.3", 20), ("B0.1", 40)])
def test_a_slot_that_computes_longer_is_named(slot, usual):
    slots = [(name, 80 if name == slot else length) for name, length in EVEN]
    assert named(run_of(slots)) == [(2, slot, "compute", 80, usual)]


def test_time_without_an_operator_is_the_hosts():
    slots = [(name, 80 if name == "F0.3" else length) for name, length in EVEN]
    assert named(run_of(slots, gap=("F0.3", 60))) == [(2, "F0.3", "host", 60, 0)]


def test_what_is_less_than_a_hundredth_of_the_step_is_not_named():
    slots = [(name, 28 if name == "F0.3" else length) for name, length in EVEN]
    assert slow_slots(slot_lengths(run_of(slots)), 1000) == []
    assert len(slow_slots(slot_lengths(run_of(slots)), 700)) == 1


def slow(rank: int, excess_ns: int, slot: str = "F0.3") -> SlowSlot:
    length = {"length_ns": 20 + excess_ns, "siblings_ns": 20}
    return SlowSlot(rank=rank, slot=slot, what="compute", excess_ns=excess_ns, **length)


def test_a_slot_is_newly_slow_where_it_was_not_or_half_as_much():
    base = [slow(1, 60), slow(2, 20)]
    new = [slow(1, 100), slow(2, 60), slow(3, 60), slow(1, 60, "F0.4")]
    assert newly_slow(base, new) == new[1:]
    assert newly_slow(new, base) == []
