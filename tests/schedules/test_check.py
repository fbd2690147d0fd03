"""Broken schedules are refused with the place; the verdict is that of a brute-force run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.schedules.check import ScheduleError, check_schedule
from dpprof.schedules.placements import two_arms_of_a_v, two_directions
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Placement, Schedule

Written = Callable[..., Schedule]


def refusal(schedule: Schedule) -> str:
    with pytest.raises(ScheduleError) as caught:
        check_schedule(schedule)
    return str(caught.value)


def test_a_dropped_action_is_named_and_its_place_marked(written: Written) -> None:
    schedule = written("F0.0 F0.1 B0.0 B0.1", "F0.0 B0.0 B0.1")
    assert refusal(schedule) == (
        "schedule by hand: rank 1: micro-batch 1 of direction 0 has B0.1; it needs F, and either "
        "B or both I and W\n"
        "rank   0 from slot    0: F0.0 F0.1 B0.0 B0.1\n"
        "rank   1 from slot    0: F0.0 B0.0 >B0.1<"
    )


def test_a_micro_batch_left_out_is_marked_at_the_end(written: Written) -> None:
    text = refusal(written("F0.0 F0.1 B0.0 B0.1", "F0.0 B0.0"))
    assert "rank 1: micro-batch 1 of direction 0 has nothing;" in text
    assert text.endswith("rank   1 from slot    0: F0.0 B0.0 >end<")


@pytest.mark.parametrize("backward", ["B0.0 I0.0 W0.0", "B0.0 W0.0", "I0.0", "W0.0"])
def test_a_backward_is_whole_or_both_its_parts(written: Written, backward: str) -> None:
    text = refusal(written(f"F0.0 {backward}", micro_batches=1))
    assert f"has F0.0, {backward.replace(' ', ', ')};" in text


def test_an_action_twice(written: Written) -> None:
    text = refusal(written("F0.0 F0.1 B0.0 F0.1 B0.1"))
    assert "rank 0: F0.1 is there twice, at slots 1 and 3" in text
    assert "F0.0 F0.1 B0.0 >F0.1< B0.1" in text


def test_actions_from_outside_the_sizes(written: Written) -> None:
    assert "F0.2 is beyond the 2 micro-batches" in refusal(written("F0.0 F0.2"))
    assert "F1.0 is of direction 1, but there are 1" in refusal(written("F0.0 F1.0"))


def test_a_backward_before_its_forward(written: Written) -> None:
    text = refusal(written("B0.0 F0.0", micro_batches=1))
    assert "rank 0: B0.0 comes before F0.0, which it needs first" in text
    assert text.endswith("rank   0 from slot    0: >B0.0< F0.0")


def test_a_weight_gradient_before_its_input_gradient(written: Written) -> None:
    assert "W0.0 comes before I0.0" in refusal(written("F0.0 W0.0 I0.0", micro_batches=1))


def test_the_members_of_a_pair_must_not_need_one_another(written: Written) -> None:
    text = refusal(written("F0.0&B0.0", micro_batches=1))
    assert "rank 0: B0.0 is in one pair with F0.0, which it needs first" in text


def test_the_turn_of_a_v_is_an_order_on_one_rank(written: Written) -> None:
    text = refusal(written("F1.0 F0.0 B1.0 B0.0", micro_batches=1, placement=two_arms_of_a_v(1)))
    assert "rank 0: F1.0 comes before F0.0" in text


def test_a_circle_of_waits_names_every_rank_in_it(written: Written) -> None:
    schedule = written("F0.1 F0.0 B0.0 B0.1", "F0.0 B0.0 F0.1 B0.1")
    check_schedule(schedule)  # in another order, but it runs
    schedule = written("F0.0 B0.0 F0.1 B0.1", "F0.0 F0.1 B0.0 B0.1")
    assert refusal(schedule) == (
        "schedule by hand: deadlock, these ranks wait for each other:\n"
        "  rank 0 at B0.0 (slot 1) waits for B0.0 of rank 1\n"
        "  rank 1 at F0.1 (slot 1) waits for F0.1 of rank 0\n"
        "rank   0 from slot    0: F0.0 >B0.0< F0.1 B0.1\n"
        "rank   1 from slot    0: F0.0 >F0.1< B0.0 B0.1"
    )


def test_a_pair_needs_the_inputs_of_both_members_at_its_start(written: Written) -> None:
    second = "F0.0 F0.1 B0.0 B0.1"
    check_schedule(written("F0.0 F0.1 B0.0 B0.1", second))
    text = refusal(written("F0.0 F0.1&B0.0 B0.1", second))
    assert "rank 0 at F0.1&B0.0 (slot 1) waits for B0.0 of rank 1" in text
    assert "rank 1 at F0.1 (slot 1) waits for F0.1 of rank 0" in text


@pytest.mark.parametrize(
    ("placement", "says"),
    [
        (Placement(((0,),), (0,)), "stages has 1 entries for 2 ranks"),
        (Placement(((0,), (0,)), (0,)), "stream 0 must pass stages 0 to 1 once each, not [0, 0]"),
        (Placement(((0,), (2,)), (0,)), "stream 0 must pass stages 0 to 1 once each, not [0, 2]"),
        (Placement(((0,), (1, 2)), (0,)), "rank 1 has 2 stages for 1 directions"),
        (Placement(((0,), (1,)), (1,)), "streams must number"),
        (Placement(((), ()), ()), "streams must number"),
        (Placement(((0, 0, 1), (1, 3, 2)), (0, 1, 1)), "streams pass different numbers of stages"),
    ],
)
def test_a_placement_that_makes_no_sense(written: Written, placement: Placement, says: str) -> None:
    text = refusal(written("F0.0 B0.0", "F0.0 B0.0", micro_batches=1, placement=placement))
    assert says in text


def test_micro_batches_that_cannot_be_shared(written: Written) -> None:
    schedule = written("F0.0", "F0.0", micro_batches=3, placement=two_directions(2))
    assert "3 micro-batches cannot be shared among 2 stream(s)" in refusal(schedule)


def test_only_the_neighbourhood_of_the_place_is_shown() -> None:
    schedule = make_schedule("1f1b", 16, 64)
    ranks = list(schedule.ranks)
    ranks[8] = ranks[8][:40] + ranks[8][41:]
    text = refusal(dataclasses.replace(schedule, ranks=tuple(ranks)))
    assert [line[:8] for line in text.splitlines()[1:]] == [
        "rank   6",
        "rank   7",
        "rank   8",
        "rank   9",
        "rank  10",
    ]
    assert len({line[9:24] for line in text.splitlines()[1:]}) == 1
    assert text.count(">") == text.count("<") == 1


def runs_to_its_end(schedule: Schedule) -> bool:
    """Brute force: try every rank's next slot over and over until nothing moves."""
    stages, streams = schedule.placement.stages, schedule.placement.streams
    last = max(map(max, stages))
    position = [0] * schedule.pp
    forward: set[tuple[int, int, int]] = set()
    backward: set[tuple[int, int, int]] = set()

    def possible(pp_rank: int, operation: str, direction: int, micro_batch: int) -> bool:
        stream, stage = streams[direction], stages[pp_rank][direction]
        here = (stream, stage, micro_batch)
        if operation == "F":
            return stage == 0 or (stream, stage - 1, micro_batch) in forward
        if operation == "W":
            return here in backward
        return here in forward and (stage == last or (stream, stage + 1, micro_batch) in backward)

    moved = True
    while moved:
        moved = False
        for pp_rank, slots in enumerate(schedule.ranks):
            if position[pp_rank] == len(slots):
                continue
            slot = slots[position[pp_rank]]
            if all(possible(pp_rank, *action) for action in slot):
                for operation, direction, micro_batch in slot:
                    done = (streams[direction], stages[pp_rank][direction], micro_batch)
                    (forward if operation == "F" else backward).add(done)
                position[pp_rank] += 1
                moved = True
    return position == [len(slots) for slots in schedule.ranks]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(schedule_names()),
    pp=st.sampled_from([1, 2, 4]),
    swaps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(-3, 3)), max_size=3
    ),
)
def test_the_verdict_on_swapped_slots_is_that_of_brute_force(
    name: str, pp: int, swaps: list[tuple[int, int, int]]
) -> None:
    pp = max(pp, 2) if name in ("chimera", "dualpipe") else pp
    schedule = make_schedule(name, pp, 2 * pp)
    ranks = [list(slots) for slots in schedule.ranks]
    for pp_rank, one, distance in swaps:
        slots = ranks[pp_rank % pp]
        one, other = one % len(slots), (one + distance) % len(slots)
        slots[one], slots[other] = slots[other], slots[one]
    schedule = dataclasses.replace(schedule, ranks=tuple(map(tuple, ranks)))
    try:
        check_schedule(schedule)
        accepted = True
    except ScheduleError:
        accepted = False
    assert accepted == runs_to_its_end(schedule)
