"""The compiled core's step is the simulator's, for every known schedule and any costs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import Action, Operation
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Placement, Schedule
from dpprof.simulate import fast_step as module
from dpprof.simulate.fast_step import fast_step, has_compiled, step_figures
from dpprof.simulate.timing import OPERATIONS, SlotTemplate, Timing, timing_from_profile

compiled_only = pytest.mark.skipif(not has_compiled(), reason="built without a C compiler")


@st.composite
def timings(draw, pp, ways):
    """Lengths that differ by rank, operation and direction."""
    length = st.integers(0, 90)
    staged = {
        (rank, operation, members): SlotTemplate(operation, draw(length), ())
        for rank in range(pp)
        for operation in OPERATIONS
        for members in (
            [(way, other) for way in range(ways) for other in range(ways)]
            if operation == "F&B"
            else [(way,) for way in range(ways)]
        )
    }
    message = MessageCost(
        bytes=draw(st.integers(0, 40)), latency_ns=draw(st.integers(0, 40)), bytes_per_second=1e9
    )
    return Timing({}, message, "drawn", staged)


@compiled_only
@settings(max_examples=80, deadline=None)
@given(data=st.data(), name=st.sampled_from(schedule_names()), pp=st.sampled_from([2, 4]))
def test_it_is_what_the_simulator_gives(data, name, pp):
    schedule = make_schedule(name, pp, 2 * pp)
    ways = len(schedule.placement.streams)
    timing = data.draw(timings(pp, ways))
    sizes = [[7 * rank + 3 * way + 1 for way in range(ways)] for rank in range(pp)]
    compiled = module._compiled_step(schedule, timing, module.np.array(sizes, module.np.int64))
    assert compiled == step_figures(schedule, timing, sizes)


@st.composite
def odd_schedules(draw):
    """Two ranks whose actions come in any order, some of them missing or repeated."""
    ranks = []
    for _ in range(2):
        actions = [
            Action(operation, 0, number)
            for operation in (Operation.FORWARD, Operation.BACKWARD)
            for number in range(2)
        ]
        slots = [(one,) for one in draw(st.permutations(actions))]
        if draw(st.booleans()):
            slots[draw(st.integers(0, 3))] = (draw(st.sampled_from(actions)),)
        ranks.append(tuple(slots))
    return Schedule("odd", 2, Placement(((0,), (1,)), (0,)), tuple(ranks))


def _outcome(function, *arguments):
    try:
        return function(*arguments)
    except DpprofError as error:
        return str(error)


@compiled_only
@settings(max_examples=200, deadline=None)
@given(odd_schedules())
def test_what_cannot_run_is_refused_in_the_simulators_words(schedule):
    timing = timing_from_profile(CostProfile(name="n", operation_ns={"F": 3, "B": 5}))
    sizes = [[1], [1]]
    expected = _outcome(step_figures, schedule, timing, sizes)
    assert _outcome(fast_step, schedule, timing, sizes) == expected


def test_an_operation_without_a_time_is_named():
    timing = timing_from_profile(CostProfile(name="n", operation_ns={"F": 3, "B": 5}))
    with pytest.raises(DpprofError, match="costs n: no time for I"):
        fast_step(make_schedule("zb1p", 2, 4), timing)


def test_without_the_core_the_simulator_answers(monkeypatch):
    timing = timing_from_profile(CostProfile(name="n", operation_ns={"F": 3, "B": 5}))
    schedule = make_schedule("1f1b", 4, 8)
    compiled = fast_step(schedule, timing, [[5]] * 4)
    monkeypatch.setattr(module, "_compiled", None)
    assert fast_step(schedule, timing, [[5]] * 4) == compiled
    assert compiled.peak_chunks == (4, 3, 2, 1)
    assert compiled.held_bytes == (20, 15, 10, 5)


@compiled_only
def test_arrays_of_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="no step"):
        module._compiled.step((), (1, 2, 3, 4), b"", b"", b"", b"", b"", b"", bytearray())
