"""Bubble regions of two runs side by side: matched by the work they held up, adding up exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.accounting.account import account
from dpprof.analysis.diff.bubble_changes import HeldUp, LongestBubble, region_changes
from dpprof.analysis.diff.diff_runs import RunAccounts, diff_runs
from dpprof.analysis.diff.model import BubbleCause
from dpprof.analysis.diff.work_accounts import account_with_cells
from dpprof.analysis.report.analyze import analyze
from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run

HOST, DRAIN, WARMUP = "bubble.host", "bubble.cooldown", "bubble.warmup"


def simulated(name: str, pp: int, micro_batches: int, latency_ns: int = 0) -> Any:
    costs = CostProfile(
        name="t",
        operation_ns={"F": 10, "I": 9, "W": 7, "B": 16, "F&B": 26},
        message=MessageCost(latency_ns=latency_ns),
    )
    return simulated_run(make_schedule(name, pp, micro_batches), costs)


def test_bubbles_of_the_same_work_are_one_row(make_run: Any, event: Any) -> None:
    base = make_run([event(0, 0, 50), event(1, 0, 10), event(1, 30, 50)])
    new = make_run([event(0, 0, 40), event(1, 0, 10), event(1, 15, 30)])
    changes = region_changes(base, new)
    rows = {(one.held.rank, one.held.state): one for one in changes.changes}
    other = next(state for rank, state in rows if state != DRAIN)
    gap, drain = rows[1, other], rows[1, DRAIN]
    assert (gap.base_ns, gap.new_ns, gap.change_ns, gap.presence) == (20, 5, -15, "both")
    assert (gap.base, gap.new) == (LongestBubble(1, 0, 10, 20), LongestBubble(1, 0, 10, 5))
    assert (drain.base_ns, drain.new_ns, drain.presence) == (0, 10, "added")
    assert (drain.base, drain.new) == (None, LongestBubble(1, 0, 30, 10))
    assert (changes.steps, changes.not_listed_ns) == (1, (0, 0))
    assert len(changes.changes) == 2


def test_a_bubble_that_is_in_the_baseline_alone_went(make_run: Any, event: Any) -> None:
    base = make_run([event(0, 0, 50), event(1, 20, 50)])
    new = make_run([event(0, 0, 50), event(1, 0, 50)])
    [removed] = region_changes(base, new).changes
    assert removed.held == HeldUp(1, WARMUP, -1, -1, "", BubbleCause(kind="start_of_step"))
    assert (removed.presence, removed.base_ns, removed.new) == ("removed", 20, None)


def test_sides_with_other_numbers_of_steps_count_alike(make_run: Any, event: Any) -> None:
    once = [event(0, 0, 50, step=1), event(1, 20, 50, step=1)]
    twice = [*once, event(0, 100, 150, step=2), event(1, 130, 150, step=2)]
    changes = region_changes(make_run(once, used_steps=(1,)), make_run(twice, used_steps=(1, 2)))
    [row] = changes.changes
    assert (changes.steps, row.base_ns, row.new_ns) == (2, 40, 20 + 30)
    assert row.new == LongestBubble(1, 2, 0, 30)


def test_work_is_told_by_stage_and_micro_batch_whatever_the_schedule() -> None:
    changes = region_changes(simulated("1f1b", 4, 8), simulated("dualpipe", 4, 8))
    known = [one.held for one in changes.changes if one.held.operation]
    assert known
    assert {one.stage for one in known} <= set(range(4))
    assert {one.micro_batch for one in known} <= set(range(8))
    assert {one.operation for one in known} <= {"F", "B", "W"}


def test_known_accounts_are_taken_where_they_hold(make_run: Any, event: Any) -> None:
    whole = make_run([event(0, 0, 50), event(1, 20, 50)])
    accounts = (account(whole), account(whole))
    assert region_changes(whole, whole, accounts) == region_changes(whole, whole)
    one = make_run([event(0, 0, 50)])
    known = (account(whole), account(one))
    assert region_changes(whole, one, known) == region_changes(whole, one)


def test_a_side_without_activity_is_refused(make_run: Any, event: Any) -> None:
    with pytest.raises(DpprofError, match="no activity"):
        region_changes(make_run([]), make_run([event(0, 0, 1)]))


names = st.sampled_from(["1f1b", "gpipe", "zb1p", "dualpipe"])
latencies = st.integers(0, 5)


@settings(max_examples=10)  # of one size: else the job is counted over a common number of ranks
@given(
    st.sampled_from([(2, 4), (2, 8), (4, 8), (4, 10)]),
    st.tuples(names, latencies),
    st.tuples(names, latencies),
)
def test_regions_add_up_to_the_bubbles_of_the_diff(sizes: Any, base: Any, new: Any) -> None:
    runs = tuple(simulated(name, *sizes, latency) for name, latency in (base, new))
    changes, diff = region_changes(*runs), diff_runs(*runs)
    bubble = next(part for part in diff.time.parts if part.name == "bubble")
    assert diff.steps == changes.steps
    assert sum(one.base_ns for one in changes.changes) == bubble.base_ns
    assert sum(one.new_ns for one in changes.changes) == bubble.new_ns
    assert sum(one.change_ns for one in changes.changes) == bubble.change_ns
    by_state: dict[str, int] = {}
    for one in changes.changes:
        by_state[one.held.state] = by_state.get(one.held.state, 0) + one.new_ns
    expected = {part.name: part.new_ns for part in bubble.parts}
    assert {name: time for name, time in by_state.items() if time} == {
        name: time for name, time in expected.items() if time
    }


def test_a_diff_takes_known_accounts_where_they_hold(make_run: Any, event: Any) -> None:
    whole = make_run([event(0, 0, 50), event(1, 20, 50)])
    other = make_run([event(0, 0, 40), event(1, 20, 50)])
    one = make_run([event(0, 0, 50)])
    for pair in ((whole, other), (whole, one)):
        base, new = (RunAccounts(analyze(run), account_with_cells(run)[1]) for run in pair)
        assert diff_runs(*pair, (base, new)) == diff_runs(*pair)
