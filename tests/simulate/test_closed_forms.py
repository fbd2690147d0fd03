"""The simulator against the closed forms of the bubble, where they hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.profile import CostProfile
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import Timing, timing_from_profile

TIMES = st.integers(1, 100)


def timing(**operation_ns: int) -> Timing:
    named = {name.replace("FB", "F&B"): value for name, value in operation_ns.items()}
    return timing_from_profile(CostProfile(name="test", operation_ns=named))


def idle_ns(name: str, pp: int, micro_batches: int, costs: Timing) -> tuple[int, ...]:
    return simulate(make_schedule(name, pp, micro_batches), costs).idle_ns


@settings(max_examples=40, deadline=None)
@given(pp=st.integers(1, 9), extra=st.integers(0, 12), forward=TIMES, backward=TIMES)
def test_1f1b_idles_as_its_form_says_on_every_rank(pp, extra, forward, backward):
    bubble = idle_ns("1f1b", pp, pp + extra, timing(F=forward, B=backward))
    assert bubble == ((pp - 1) * (forward + backward),) * pp


@settings(max_examples=60, deadline=None)
@given(pp=st.sampled_from([2, 4, 8]), forward=TIMES, input_gradient=TIMES, weight=TIMES)
def test_zb1p_idles_as_its_general_form_says(pp, forward, input_gradient, weight):
    costs = timing(F=forward, I=input_gradient, W=weight)
    form = (pp - 1) * max(forward + input_gradient - weight, forward, input_gradient)
    assert idle_ns("zb1p", pp, 3 * pp, costs) == (form,) * pp


@settings(max_examples=60, deadline=None)
@given(
    pp=st.sampled_from([4, 6, 8, 12]),
    forward=TIMES,
    weight=st.data(),
    more=st.integers(0, 6),
)
def test_dualpipe_form_holds_on_the_middle_ranks(pp, forward, weight, more):
    weight_ns = weight.draw(st.integers(1, forward))
    backward = forward + weight_ns
    pair = weight.draw(st.integers(backward, forward + backward))
    costs = timing(F=forward, I=forward, W=weight_ns, FB=pair)
    bubble = idle_ns("dualpipe", pp, 2 * pp + 2 * more, costs)
    form = (pp // 2 - 1) * (pair + backward - 3 * weight_ns)
    middle = slice(pp // 2 - 2, pp // 2 + 2)  # the two middle ranks and their neighbours
    assert bubble[middle] == (form,) * 4


@settings(max_examples=80, deadline=None)
@given(pp=st.sampled_from([4, 6, 8, 12]), data=st.data())
def test_dualpipe_outer_ranks_idle_less(pp, data):
    forward, weight = data.draw(TIMES), data.draw(TIMES)
    input_gradient = data.draw(st.integers(1, forward))
    backward = input_gradient + weight
    pair = data.draw(st.integers(max(forward, backward), forward + backward))
    costs = timing(F=forward, I=input_gradient, W=weight, FB=pair)
    middle = (pp // 2 - 1) * (pair + forward - weight - min(weight, input_gradient))
    fewer = forward + backward - pair
    depth = [min(rank, pp - 1 - rank) for rank in range(pp)]
    expected = tuple(middle - max(0, pp // 2 - 2 - h) * fewer for h in depth)
    assert idle_ns("dualpipe", pp, 2 * pp + 4, costs) == expected


@pytest.mark.parametrize(
    ("pair", "expected"), [(3, (6, 6, 6, 6)), (2.5, (3.5, 4, 4.5, 4.5)), (2, (1, 2, 3, 3))]
)
def test_dualpipe_on_eight_ranks(pair, expected):
    costs = timing(F=10, B=20, I=10, W=10, FB=int(10 * pair))
    idle = idle_ns("dualpipe", 8, 20, costs)
    assert idle == tuple(int(10 * value) for value in (*expected, *reversed(expected)))


COSTS = [
    {"F": 10, "I": 10, "W": 10, "FB": 25},
    {"F": 10, "I": 14, "W": 5, "FB": 22},
    {"F": 9, "I": 7, "W": 8, "FB": 24},
]


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize(("pp", "chunks"), [(2, 4), (2, 7), (4, 8), (4, 13), (8, 16), (8, 20)])
def test_dualpipev_is_half_of_a_dualpipe_of_twice_the_size(pp, chunks, costs):
    times = timing(**costs)
    folded = simulate(make_schedule("dualpipev", pp, chunks), times)
    full = simulate(make_schedule("dualpipe", 2 * pp, 2 * chunks), times)
    assert folded.makespan_ns == full.makespan_ns
    assert folded.idle_ns == full.idle_ns[:pp]


@pytest.mark.parametrize("name", ["1f1b", "zb1p", "dualpipe", "dualpipev", "interleaved-1f1b"])
@pytest.mark.parametrize("pp", [2, 4, 8])
def test_batched_commits_cost_nothing_where_messages_are_free(name, pp):
    schedule, costs = make_schedule(name, pp, 4 * pp), timing(F=10, I=11, W=7, FB=25)
    eager, batched = (simulate(schedule, costs, way) for way in ("eager", "batched"))
    assert [start.tolist() for start in eager.starts_ns] == [
        start.tolist() for start in batched.starts_ns
    ]
