from __future__ import annotations

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.activities.steps import choose_steps

MARKED = [(3, 4, 5, 6), (3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("wanted", "measured", "warmup", "used", "dropped"),
    [
        (None, (), (), (3, 4, 5, 6), ()),
        (None, (4, 5, 6), (2, 3), (4, 5, 6), (2, 3)),
        (None, (), (3,), (4, 5, 6), (3,)),
        ("4", (), (), (4,), (3, 5, 6)),
        ("4-5", (), (), (4, 5), (3, 6)),
        ("3,5-6", (4, 5, 6), (3,), (3, 5, 6), (4,)),
    ],
)
def test_choice(wanted, measured, warmup, used, dropped) -> None:
    assert choose_steps(MARKED, wanted, measured, warmup) == (used, dropped)


def test_only_steps_that_every_rank_marks_are_used() -> None:
    assert choose_steps([(3, 4), (4, 5)], None) == ((4,), (3, 5))


@pytest.mark.parametrize(
    ("marked", "wanted", "measured", "says"),
    [
        (MARKED, "7", (), "no step 7 in the trace; it has 3-6"),
        (MARKED, "0-10", (), "no step 0, 1, 2, 7, 8, 9, 10 in the trace"),
        (MARKED, "5-4", (), "not a range of steps"),
        (MARKED, "all", (), "not a range of steps"),
        (MARKED, "1-999999999", (), "more than a million"),
        ([(1,), (2,)], None, (), "no step in common"),
        ([(1,), ()], None, (), "no step in common"),
        (MARKED, None, (9,), "counts none of them as measured"),
    ],
)
def test_impossible_choices(marked, wanted, measured, says) -> None:
    with pytest.raises(DpprofError, match=says):
        choose_steps(marked, wanted, measured)


def graph_kernel(build, ts: float, stream: int) -> dict:
    """As a captured graph replays it: of no launch that the trace knows."""
    return build.span("kernel", "gemm", ts, 10, stream, device=0, stream=stream)


def test_streams_without_launches_go_by_the_time_of_the_others(build) -> None:
    events = [
        build.step(3, 0, 20),
        build.step(4, 20, 20),
        build.kernel("a", 5, 100, 10),
        build.kernel("b", 25, 200, 100),
        *(graph_kernel(build, at, 8) for at in (90, 120, 195, 250, 400)),
    ]
    rank = build.tables(events)
    assert rank.events["step"].tolist() == [3, 4, -1, 3, 3, 4, -1]
    assert "5 activities are on streams without a launch" in rank.warnings[0]


def test_without_any_launch_the_hosts_ranges_must_do(build) -> None:
    events = [build.step(3, 0, 100), build.step(4, 100, 100)]
    events += [graph_kernel(build, at, 8) for at in (50, 99, 100, 250)]
    assert build.tables(events).events["step"].tolist() == [3, 3, 4, -1]
