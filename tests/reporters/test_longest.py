"""The bubbles that cost most: said once for all steps and ranks that have them."""

from __future__ import annotations

from typing import Any

import msgspec

from dpprof.analysis.figures import StepFigures
from dpprof.analysis.model import Report
from dpprof.analysis.observations import RegionFigures
from dpprof.reporters.report.longest_bubbles import longest_regions

STEP_NS = 100_000_000


def region(rank: int, step: int, offset: float, length: float, **more: Any) -> RegionFigures:
    """Times in milliseconds; steps follow one another."""
    start = (step - 1) * STEP_NS + round(offset * 1e6)
    nothing = dict.fromkeys(["cause_kind", "cause", "cause_rank", "cause_group", "slot"])
    known = {"state": "bubble.dependency", "phase": "steady"}
    return RegionFigures(
        rank=rank,
        step=step,
        start_ns=start,
        end_ns=start + round(length * 1e6),
        offset_ns=round(offset * 1e6),
        length_ns=round(length * 1e6),
        **nothing | known | more,
    )


def lines(report: Report, regions: list[RegionFigures], steps: int = 2) -> list[str]:
    windows = [
        StepFigures(step=step, start_ns=0, window_ns=STEP_NS, states_ns={})
        for step in range(1, steps + 1)
    ]
    made = msgspec.structs.replace(report, regions=regions, per_step=windows, step_ns=STEP_NS)
    return longest_regions(made)


def test_the_same_bubble_of_several_steps_is_one_line(report: Report) -> None:
    waits = {"cause_rank": 2, "cause": "B0.1", "slot": "B0.1"}
    found = lines(
        report,
        [
            region(3, 1, 10, 4, **waits),
            region(3, 2, 12, 6, **waits),
            region(3, 1, 40, 9, **waits),  # the second of its step
            region(0, 1, 10, 20, slot="F0.1", state="bubble.host"),
        ],
    )
    assert found == [
        "rank 0 idle 20.00 ms at step 1, 10.00 ms, steady: the host came late (in F0.1)",
        "rank 3 idle 5.00 ms at 11.00 ms, steady: waits for rank 2, B0.1 (mean of 2 steps)",
        "rank 3 idle 9.00 ms at step 1, 40.00 ms, steady: waits for rank 2, B0.1",
    ]


def test_ranks_that_wait_for_one_straggler_are_one_line(report: Report) -> None:
    skew = {"state": "bubble.straggler", "cause_rank": 9, "cause": "all_to_all"}
    regions = [region(rank, 1, 20 - rank, 10 + rank, **skew) for rank in range(9)]
    assert lines(report, [*regions, region(1, 1, 50, 3, **skew)], 1) == [
        "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 1 more idle 14.00 ms at 16.00 ms, steady: waits in "
        "all_to_all for rank 9, the last to come",
        "rank 1 idle 3.00 ms at 50.00 ms, steady: waits in all_to_all for rank 9, the last to come",
    ]


def test_what_nothing_is_known_of_stays_apart(report: Report) -> None:
    other = {"state": "bubble.other"}
    regions = [region(0, 1, 10, 4, **other), region(0, 2, 10, 5, **other)]
    assert lines(report, regions) == [
        "rank 0 idle 5.00 ms at step 2, 10.00 ms, steady: no cause found",
        "rank 0 idle 4.00 ms at step 1, 10.00 ms, steady: no cause found",
    ]


def test_trifles_are_left_out_and_five_lines_are_enough(report: Report) -> None:
    assert lines(report, [region(0, 1, 10, 0.9), region(0, 2, 10, 0.09)]) == []
    assert len(lines(report, [region(rank, 1, 10, 2) for rank in range(9)])) == 5
