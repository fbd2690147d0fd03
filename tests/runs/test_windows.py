"""Windows of steps, as metrics.md, section 5, has them."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.runs.windows import marked_windows, outside_count, step_windows
from dpprof.tables.columns import STEPS, make_table


def marks(*rows: tuple[int, int, int, int]) -> Any:
    """Rank, step, start, end of every mark."""
    columns = zip(*rows, strict=True)
    return make_table(
        STEPS, dict(zip(("rank", "step", "start_ns", "end_ns"), columns, strict=True))
    )


@pytest.fixture
def run_of(make_run, event):
    def run(work: list[tuple[int, int, int, int]], *rows: tuple[int, int, int, int]) -> Any:
        events = [event(rank, start, end, step=step) for rank, step, start, end in work]
        steps = tuple(sorted({step for _, step, _, _ in rows}))
        return make_run(events, steps=marks(*rows), used_steps=steps)

    return run


def test_a_slow_loader_is_part_of_the_step(run_of) -> None:
    run = run_of([(0, 1, 80, 99), (0, 2, 180, 201)], (0, 1, 0, 100), (0, 2, 100, 200))
    assert step_windows(run) == {1: (0, 100), 2: (100, 201)}


def test_a_gap_between_marks_that_follow_each_other_is_of_the_later_step(run_of) -> None:
    run = run_of([(0, 1, 5, 10), (0, 2, 45, 50)], (0, 1, 0, 10), (0, 2, 40, 50))
    assert step_windows(run) == {1: (0, 10), 2: (10, 50)}


def test_a_gap_where_steps_were_skipped_is_of_none(run_of) -> None:
    run = run_of([(0, 1, 5, 12), (0, 7, 45, 50)], (0, 1, 0, 10), (0, 7, 40, 50))
    assert step_windows(run) == {1: (0, 12), 7: (40, 50)}


def test_a_prefetched_copy_stretches_no_step(run_of) -> None:
    work = [(0, 1, 60, 160), (0, 2, 100, 101), (0, 2, 160, 260)]
    run = run_of(work, (0, 1, 0, 100), (0, 2, 100, 200))
    assert step_windows(run) == {1: (0, 160), 2: (160, 260)}


def test_windows_are_those_of_the_job(run_of) -> None:
    work = [(0, 1, 5, 30), (1, 1, 2, 20), (0, 2, 31, 40), (1, 2, 32, 60)]
    run = run_of(work, (0, 1, 3, 25), (1, 1, 4, 50), (0, 2, 25, 45), (1, 2, 50, 55))
    assert step_windows(run) == {1: (2, 50), 2: (50, 60)}


def test_work_that_outlasts_the_next_step_leaves_it_nothing(run_of) -> None:
    run = run_of([(0, 1, 5, 99), (0, 2, 11, 20)], (0, 1, 0, 10), (0, 2, 10, 20))
    assert step_windows(run) == {1: (0, 99), 2: (99, 99)}


def test_steps_that_are_not_used_end_where_they_end(run_of) -> None:
    run = run_of([(0, 1, 5, 30), (0, 2, 31, 40)], (0, 1, 0, 10), (0, 2, 10, 20))
    object.__setattr__(run, "used_steps", (2,))
    assert step_windows(run) == {2: (30, 40)}
    assert marked_windows(run) == {1: (0, 30), 2: (30, 40)}


def test_what_runs_in_no_window_is_counted(make_run, event) -> None:
    run = make_run([event(0, 0, 5), event(0, 8, 12), event(0, 12, 12), event(0, 30, 40)])
    assert outside_count(run.events, {0: (10, 20)}) == 2
    assert outside_count(run.events, {}) == 4
