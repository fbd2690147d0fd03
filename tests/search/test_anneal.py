"""Annealing: both cores make the same moves, and what comes out is what the simulator says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.schedules.check import check_schedule
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule
from dpprof.search.anneal import MEAN_PERMILLE, Annealed, Cooling, anneal, has_compiled
from dpprof.search.bound import lower_bound
from dpprof.search.problem import Problem, make_problem, orders_of, schedule_of
from dpprof.search.repeat import repeat_steady
from dpprof.search.slot_length import slot_lengths
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import Timing, timing_from_profile

SCHEDULES = (
    ("1f1b", 3, 5),
    ("gpipe", 2, 3),
    ("zb1p", 4, 6),
    ("zbv", 2, 5),
    ("interleaved-1f1b", 2, 4),
    ("dualpipe", 4, 8),
    ("dualpipe", 2, 6),
    ("dualpipev", 2, 5),
)


@st.composite
def costs(draw: st.DrawFn) -> Timing:
    forward, inputs, weights = (draw(st.integers(10, 60)) for _ in range(3))
    pair = draw(st.integers(max(forward, inputs + weights), forward + inputs + weights))
    whole = inputs + weights - draw(st.integers(0, 5))
    message = MessageCost(
        bytes=draw(st.integers(0, 5)), latency_ns=draw(st.integers(0, 4)), bytes_per_second=1e9
    )
    return timing_from_profile(
        CostProfile(
            name="random",
            operation_ns={"F": forward, "B": whole, "I": inputs, "W": weights, "F&B": pair},
            message=message,
        )
    )


def problem_of(schedule: Schedule, timing: Timing, extra: int = 0) -> Problem:
    peak = max(rank.total for rank in peak_in_flight(schedule)) + extra
    directions = len(schedule.placement.streams)
    return make_problem(
        schedule,
        slot_lengths(timing),
        timing.message,
        np.ones((schedule.pp, directions), np.int64),
        np.full(schedule.pp, peak, np.int64),
    )


def run(problem: Problem, schedule: Schedule, steps: int, seed: int = 7, **how: bool) -> Annealed:
    orders = orders_of(schedule, problem)
    return anneal(problem, Annealed(orders, orders, seed), Cooling(steps, 20.0, 1.0), **how)


@pytest.mark.skipif(not has_compiled(), reason="built without a C compiler")
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCHEDULES), costs(), st.integers(1, 2**60), st.integers(0, 2))
def test_both_cores_give_the_same(sizes, timing, seed, extra):
    schedule = make_schedule(*sizes)
    problem = problem_of(schedule, timing, extra)
    compiled = run(problem, schedule, 400, seed)
    assert compiled == run(problem, schedule, 400, seed, compiled=False)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEDULES), costs(), st.integers(1, 2**60))
def test_what_is_found_runs_within_its_memory_and_bound_and_as_long_as_it_says(sizes, timing, seed):
    schedule = make_schedule(*sizes)
    problem = problem_of(schedule, timing)
    found = run(problem, schedule, 300, seed)
    best = schedule_of(found.best, problem, schedule, "found")
    check_schedule(best)
    assert max(p.total for p in peak_in_flight(best)) <= problem.limits[0]
    step = simulate(best, timing)
    ends = [int(ends[-1]) for ends in step.ends_ns]
    mean = sum(ends[: problem.ranks]) // problem.ranks
    assert found.best_value_ns == step.makespan_ns + mean * MEAN_PERMILLE // 1000
    assert lower_bound(problem) <= step.makespan_ns


@pytest.mark.parametrize("sizes", SCHEDULES)
def test_tokens_read_back_as_a_schedule_that_takes_as_long(sizes):
    schedule = make_schedule(*sizes)
    timing = timing_from_profile(CostProfile(name="n", operation_ns={"F": 10, "I": 9, "W": 8}))
    problem = problem_of(schedule, timing)
    again = schedule_of(orders_of(schedule, problem), problem, schedule, schedule.name)
    check_schedule(again)
    assert simulate(again, timing).makespan_ns == simulate(schedule, timing).makespan_ns
    assert problem.folded == (schedule.name == "dualpipe")


def test_the_bound_is_reached_where_nothing_can_be_chosen():
    schedule = make_schedule("1f1b", 5, 1)
    timing = timing_from_profile(
        CostProfile(name="n", operation_ns={"F": 10, "B": 17}, message=MessageCost(latency_ns=3))
    )
    bound = lower_bound(problem_of(schedule, timing))
    assert bound == simulate(schedule, timing).makespan_ns == 5 * 27 + 8 * 3


def test_a_start_that_deadlocks_is_left_alone():
    schedule = make_schedule("1f1b", 2, 2)
    timing = timing_from_profile(CostProfile(name="n", operation_ns={"F": 10, "B": 20}))
    problem = problem_of(schedule, timing)
    stuck = ((0, 1, 0, 1), (0, 0, 1, 1))  # rank 1 waits for a forward behind what needs rank 1
    for compiled in (True, False):
        at = Annealed(stuck, stuck, 5)
        left = anneal(problem, at, Cooling(50, 5.0, 1.0), compiled=compiled)
        assert left.current == stuck
        assert left.value_ns == 2**63 - 1


@pytest.mark.parametrize(
    ("name", "pp", "few", "many"), [("dualpipe", 8, 20, 40), ("1f1b", 4, 9, 30)]
)
def test_repeating_the_steady_phase_of_a_schedule_gives_its_own_longer_one(name, pp, few, many):
    timing = timing_from_profile(
        CostProfile(name="n", operation_ns={"F": 10, "I": 11, "W": 3, "B": 13, "F&B": 14})
    )
    short, long = make_schedule(name, pp, few), make_schedule(name, pp, many)
    problem = problem_of(short, timing)
    more = long.micro_batches_per_stream - short.micro_batches_per_stream
    orders = orders_of(short, problem)
    repeated = repeat_steady(orders, problem, simulate(short, timing), more)
    assert repeated is not None
    assert repeated[1] <= run(problem_of(long, timing), long, 0).value_ns
