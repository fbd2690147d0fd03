"""The grid: whole small pictures, wrapping, and that every line keeps to the width."""

from __future__ import annotations

import re

import pytest

from dpprof.schedules.grid import schedule_grid
from dpprof.schedules.registry import make_schedule, schedule_names


def test_a_small_grid_whole() -> None:
    assert schedule_grid(make_schedule("1f1b", 2, 2), 120) == (
        "time   0    1    2    3    4    5    6    7    8\n"
        "rank 0 F0.0 F0.1 .    .    B0.0----- .    B0.1-----\n"
        "rank 1 .    F0.0 B0.0----- F0.1 B0.1----- .    .\n"
        "\n"
        "F  forward (1)    B  backward (2)    .  idle    F0.3  direction 0, micro-batch 3    "
        "-  goes on"
    )


def test_a_slot_that_does_not_fit_goes_on_in_the_next_block() -> None:
    grid = schedule_grid(make_schedule("gpipe", 2, 1), 27)
    assert grid.split("\n\n")[:2] == [
        "time   0    1    2    3\nrank 0 F0.0 .    .    .\nrank 1 .    F0.0 B0.0-----",
        "time   4    5\nrank 0 B0.0-----\nrank 1 .    .",
    ]
    narrow = schedule_grid(make_schedule("gpipe", 2, 1), 22)
    assert narrow.split("\n\n")[:2] == [
        "time   0    1    2\nrank 0 F0.0 .    .\nrank 1 .    F0.0 B0.0",
        "time   3    4    5\nrank 0 .    B0.0-----\nrank 1 -B0. .    .",
    ]


@pytest.mark.parametrize("name", schedule_names())
@pytest.mark.parametrize("width", [60, 100, 133])
def test_lines_keep_to_the_width_and_show_every_slot(name: str, width: int) -> None:
    schedule = make_schedule(name, 8, 24)
    grid = schedule_grid(schedule, width)
    assert max(map(len, grid.splitlines())) <= width
    for pp_rank, slots in enumerate(schedule.ranks):
        rows = re.findall(rf"^rank {pp_rank} (.*)$", grid, re.MULTILINE)
        shown = [cell for row in rows for cell in re.findall(r"(?<![-&\w])[FBIW]\S*", row)]
        assert len(shown) == len(slots)


def test_a_terminal_too_narrow_still_gets_one_column_a_block() -> None:
    grid = schedule_grid(make_schedule("1f1b", 2, 1), 1)
    assert grid.startswith("time   0\nrank 0 F0.0\nrank 1 .\n\ntime   1\n")


def test_paint_gets_the_operation_and_all_of_the_cell() -> None:
    painted = schedule_grid(
        make_schedule("dualpipe", 2, 4), 120, paint=lambda operation, text: f"<{operation}:{text}>"
    )
    first = painted.splitlines()[1]
    assert first.startswith("rank 0 <F:F0.0> <F:F1.0> <F:F0.1> <B:B1.0-----> <F&B:F1.1&B0.0-----> ")
    assert "<F&B:F&B>  overlapped pair (3)" in painted
