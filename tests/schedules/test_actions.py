"""Text of actions and slots, and which actions need which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.schedules.actions import (
    Action,
    Operation,
    parse_slot,
    single,
    slot_operation,
    slot_text,
)
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Dependency, DependencyRule

F, B, I, W = Operation  # noqa: E741 - the field's own names

numbers = st.integers(0, 999_999_999)


@given(st.sampled_from(Operation), numbers, numbers, numbers, numbers)
def test_slots_read_back(
    operation: Operation, direction: int, micro_batch: int, other: int, behind: int
) -> None:
    slot = single(operation, direction, micro_batch)
    assert parse_slot(slot_text(slot)) == slot
    assert slot_operation(slot) == operation
    pair = (Action(F, direction, micro_batch), Action(B, other, behind))
    assert parse_slot(slot_text(pair)) == pair
    assert slot_operation(pair) == "F&B"


@pytest.mark.parametrize(
    "text", ["", "F", "F0", "F0.", "X0.1", "f0.1", "F-1.0", "F0.1 ", "F0.1&", "F0.1&B0.0&B0.1"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DpprofError, match="is not a"):
        parse_slot(text)


@pytest.mark.parametrize("text", ["B0.0&F0.1", "F0.0&I0.1", "F0.0&F0.1", "B0.0&B0.1"])
def test_a_pair_is_a_forward_and_a_full_backward(text: str) -> None:
    with pytest.raises(DpprofError, match="an overlapped pair is a forward & a backward"):
        parse_slot(text)


def test_what_actions_of_a_v_need() -> None:
    rule = DependencyRule(make_schedule("zbv", 2, 3))
    assert rule.upstream(0, Action(F, 0, 1)) is None
    assert rule.upstream(1, Action(F, 0, 1)) == Dependency(0, Action(F, 0, 1))
    assert rule.upstream(1, Action(F, 1, 1)) == Dependency(1, Action(F, 0, 1))
    assert rule.upstream(0, Action(I, 1, 1)) is None
    assert rule.upstream(1, Action(I, 1, 1)) == Dependency(0, Action(I, 1, 1))
    assert rule.downstream(0, Action(I, 0, 1)) is None
    assert rule.upstream(0, Action(W, 0, 1)) is None
    assert rule.own(0, Action(W, 0, 1)) == Dependency(0, Action(I, 0, 1))
    assert rule.own(0, Action(I, 0, 1)) == Dependency(0, Action(F, 0, 1))
    assert rule.own(0, Action(F, 0, 1)) is None


def test_a_backward_may_be_fed_by_an_input_gradient() -> None:
    """Depths of DualPipe switch to split backwards at different micro-batches."""
    rule = DependencyRule(make_schedule("dualpipe", 4, 8))
    assert rule.upstream(0, Action(I, 0, 2)) == Dependency(1, Action(B, 0, 2))
    assert rule.upstream(2, Action(B, 1, 1)) == Dependency(1, Action(B, 1, 1))
    assert rule.upstream(2, Action(B, 1, 0)) == Dependency(1, Action(B, 1, 0))
    assert rule.upstream(1, Action(B, 1, 0)) == Dependency(0, Action(I, 1, 0))
