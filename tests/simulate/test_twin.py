"""The slot engine against a slow twin: apply every rule again and again until nothing moves."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import Action, Operation, slot_operation
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import DependencyRule, Placement, Schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import OPERATIONS, Timing, timing_from_measured, timing_from_profile

LATENCY_NS = 2
"""On top of every message's time on its edge."""


def twin(schedule, length_ns, message_ns, batched):
    """Start of every slot by (rank, index); None if the times never settle (a deadlock)."""
    rule = DependencyRule(schedule)
    where = {
        (rank, action): (rank, index)
        for rank, slots in enumerate(schedule.ranks)
        for index, slot in enumerate(slots)
        for action in slot
    }
    start = dict.fromkeys(where.values(), 0)
    sent = {}

    def end(place):
        rank, index = place
        return start[place] + length_ns(rank, slot_operation(schedule.ranks[rank][index]))

    for _ in range(4 * len(start) + 4):
        before = (dict(start), dict(sent))
        for rank, slots in enumerate(schedule.ranks):
            edge_free = defaultdict(int)
            for index, slot in enumerate(slots):
                earliest = [0]
                if index:
                    earliest.append(end((rank, index - 1)))
                    if batched:
                        earliest += [
                            sent[rank, action] + message_ns + LATENCY_NS
                            for action in slots[index - 1]
                            if (rank, action) in sent
                        ]
                for action in slot:
                    needed = rule.upstream(rank, action)
                    if needed is None:
                        continue
                    if needed.pp_rank == rank:
                        earliest.append(end(where[rank, needed.action]))
                    else:
                        earliest.append(sent.get(tuple(needed), 0) + message_ns + LATENCY_NS)
                start[rank, index] = max(earliest)
                for action in slot:
                    consumer = rule.downstream(rank, action)
                    if consumer is not None and consumer.pp_rank != rank:
                        leaves = max(end((rank, index)), edge_free[consumer.pp_rank])
                        sent[rank, action] = leaves
                        edge_free[consumer.pp_rank] = leaves + message_ns
        if before == (start, sent):
            return start
    return None


SIZES = st.tuples(
    st.sampled_from(["1f1b", "zb1p", "dualpipe", "dualpipev", "gpipe", "interleaved-1f1b", "zbv"]),
    st.sampled_from([2, 4]),
    st.sampled_from([8, 12]),
)
LENGTHS = st.lists(st.integers(0, 30), min_size=20, max_size=20)


@settings(max_examples=60, deadline=None)
@given(size=SIZES, lengths=LENGTHS, message_ns=st.integers(0, 9), batched=st.booleans())
def test_engine_equals_its_twin_on_real_schedules(size, lengths, message_ns, batched):
    schedule = make_schedule(*size)
    table = {
        (rank, operation): lengths[5 * rank + code]
        for rank in range(schedule.pp)
        for code, operation in enumerate(OPERATIONS)
    }
    timing = timing_with_messages(table, message_ns)
    step = simulate(schedule, timing, "batched" if batched else "eager")
    expected = twin(schedule, lambda *key: table[key], message_ns, batched)
    assert starts_of(step) == expected


def timing_with_messages(table, message_ns):
    return Timing(
        timing_from_measured(table).templates,
        MessageCost(bytes=message_ns, bytes_per_second=1e9, latency_ns=LATENCY_NS),
    )


def starts_of(step):
    return {
        (rank, index): int(start)
        for rank, starts in enumerate(step.starts_ns)
        for index, start in enumerate(starts)
    }


@st.composite
def shuffled_schedules(draw):
    """Two or three ranks whose slots come in any order that keeps F before B."""
    pp, count = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    ranks = []
    for _ in range(pp):
        order = draw(st.permutations([*range(count), *range(count)]))
        seen = set()
        slots = []
        for number in order:
            operation = Operation.BACKWARD if number in seen else Operation.FORWARD
            slots.append((Action(operation, 0, number),))
            seen.add(number)
        ranks.append(tuple(slots))
    placement = Placement(tuple((rank,) for rank in range(pp)), (0,))
    return Schedule("shuffled", count, placement, tuple(ranks))


@settings(max_examples=150, deadline=None)
@given(schedule=shuffled_schedules(), message_ns=st.integers(0, 3), batched=st.booleans())
def test_engine_equals_its_twin_or_reports_a_deadlock(schedule, message_ns, batched):
    profile = CostProfile(
        name="test",
        operation_ns={"F": 3, "B": 5},
        message=MessageCost(bytes=message_ns, bytes_per_second=1e9, latency_ns=LATENCY_NS),
    )
    expected = twin(
        schedule, lambda _, operation: profile.operation_ns[operation], message_ns, batched
    )
    way = "batched" if batched else "eager"
    if expected is None:
        with pytest.raises(DpprofError, match="deadlocks"):
            simulate(schedule, timing_from_profile(profile), way)
    else:
        assert starts_of(simulate(schedule, timing_from_profile(profile), way)) == expected
