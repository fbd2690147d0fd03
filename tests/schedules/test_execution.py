"""A run by dependencies alone, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

from dpprof.schedules.actions import Action, Operation
from dpprof.schedules.execution import execute
from dpprof.schedules.placements import two_directions
from dpprof.schedules.schedule import Dependency, Schedule

Written = Callable[..., Schedule]


def test_spans_makespan_and_idle(written: Written) -> None:
    execution = execute(written("F0.0 F0.1 B0.0 B0.1", "F0.0 B0.0 F0.1 B0.1"), {"F": 3, "B": 5})
    assert execution.spans == (
        ((0, 3), (3, 6), (11, 16), (19, 24)),
        ((3, 6), (6, 11), (11, 14), (14, 19)),
    )
    assert execution.blocked == {}
    assert execution.makespan == 24
    assert [execution.idle(0), execution.idle(1)] == [8, 8]


def test_a_pair_waits_for_both_inputs_and_publishes_both_results_at_its_end(
    written: Written,
) -> None:
    schedule = written(
        "F0.0 F1.0 F0.1&B1.0 B0.0 F1.1 B1.1 B0.1",
        "F1.0 F0.0 F1.1 B0.0 B1.0 F0.1 B0.1 B1.1",
        micro_batches=4,
        placement=two_directions(2),
    )
    execution = execute(schedule, {"F": 1, "B": 2, "F&B": 4})
    assert execution.spans[0] == ((0, 1), (1, 2), (2, 6), (6, 8), (8, 9), (9, 11), (11, 13))
    assert execution.spans[1][4:] == ((6, 8), (8, 9), (9, 11), (11, 13))


def test_a_deadlock_runs_as_far_as_it_goes(written: Written) -> None:
    execution = execute(written("F0.0 B0.0 F0.1 B0.1", "F0.0 F0.1 B0.0 B0.1"), {"F": 1, "B": 2})
    assert execution.spans == (((0, 1),), ((1, 2),))
    assert execution.blocked == {
        0: Dependency(1, Action(Operation.BACKWARD, 0, 0)),
        1: Dependency(0, Action(Operation.FORWARD, 0, 1)),
    }


def test_nothing_to_run() -> None:
    empty = Schedule("empty", 2, two_directions(2), ((), ()))
    execution = execute(empty, {})
    assert (execution.spans, execution.makespan, execution.idle(0)) == (((), ()), 0, 0)
