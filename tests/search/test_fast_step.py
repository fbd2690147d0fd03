"""The compiled core's step is the simulator's, for every known schedule and any costs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.search.fast_step import fast_step
from dpprof.search.problem import is_in_order
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_profile


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(schedule_names()),
    st.sampled_from([2, 4]),
    st.lists(st.integers(1, 90), min_size=3, max_size=3),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_it_is_what_the_simulator_gives(name, pp, parts, latency, size):
    forward, inputs, weights = parts
    message = MessageCost(bytes=size, latency_ns=latency, bytes_per_second=1e9)
    operation_ns = {"F": forward, "I": inputs, "W": weights}
    timing = timing_from_profile(CostProfile(name="n", operation_ns=operation_ns, message=message))
    schedule = make_schedule(name, pp, 2 * pp)
    step = simulate(schedule, timing)
    peaks = tuple(peak.total for peak in peak_in_flight(schedule))
    assert is_in_order(schedule)
    assert fast_step(schedule, timing) == (step.makespan_ns, step.busy_ns, peaks)
