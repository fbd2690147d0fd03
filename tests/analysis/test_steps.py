"""Figures per step and rank: they add up to those of the run, whatever the run."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dpprof.analysis.figures import StepFigures, TimeFigures
from dpprof.analysis.overlap.by_kind import add_kinds, known_sum
from dpprof.analysis.report.analyze import analyze
from dpprof.tables.kinds import STATES

TIMES = ("window_ns", "bubble_ns", "communication_ns", "hidden_ns", "exposed_ns")


def test_a_step_says_what_each_rank_did_in_it(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10, step=1),
            event(0, 5, 15, "dispatch", step=1, ready_ns=8),
            event(1, 0, 20, step=1),
            event(0, 100, 130, step=2),
        ],
        memory=[
            {"rank": 0, "step": 1, "at_ns": 3, "allocated_bytes": 70},
            {"rank": 0, "step": 1, "at_ns": 4, "allocated_bytes": 50},
        ],
        used_steps=(1, 2),
    )
    first, second = analyze(run).per_step
    assert (first.step, first.start_ns, first.window_ns) == (1, 0, 20)
    assert {state: ns for state, ns in first.states_ns.items() if ns} == {
        "compute_only": 8 + 20,
        "overlap": 2,
        "exposed.dispatch": 5,
        "bubble.cooldown": 5,
    }
    zero, one = first.ranks
    assert (zero.rank, zero.peak_allocated_bytes, one.peak_allocated_bytes) == (0, 70, None)
    assert (zero.communication_ns, zero.hidden_ns, zero.exposed_ns, zero.wait_ns) == (7, 2, 5, 3)
    assert msgspec.to_builtins(zero.by_kind) == {
        "dispatch": {"total_ns": 7, "hidden_ns": 2, "exposed_ns": 5, "wait_ns": 3}
    }
    assert zero.bubble_share == 5 / 20
    assert [rank.bubble_ns for rank in second.ranks] == [0, 30]
    assert second.ranks[0].peak_allocated_bytes is None


def test_no_activity_no_steps(make_run) -> None:
    assert analyze(make_run([])).per_step == []


kinds = st.sampled_from(["compute", "dispatch", "p2p", "memory"])
rows = st.builds(
    lambda rank, step, start, length, kind, ready: {
        "rank": rank,
        "step": step,
        "start_ns": 1000 * step + start,
        "end_ns": 1000 * step + start + length,
        "kind": kind,
        "lane": "0",
        "ready_ns": -1 if ready is None or kind == "compute" else 1000 * step + start + ready,
    },
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 50),
    st.integers(1, 30),
    kinds,
    st.none() | st.integers(0, 10),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, min_size=1, max_size=20))
def test_steps_add_up_to_their_rank(make_run: Any, events: list[dict[str, Any]]) -> None:
    report = analyze(make_run(events, used_steps=(0, 1, 2, 3)))
    for rank in report.ranks:
        own = [one for step in report.per_step for one in step.ranks if one.rank == rank.rank]
        assert len(own) == len(report.per_step)
        _adds_up(own, rank)
    for step in report.per_step:
        _states_add_up(step)
    assert sum(step.window_ns for step in report.per_step) == report.window_ns


def _adds_up(steps: list[Any], rank: TimeFigures) -> None:
    for name in TIMES:
        assert sum(getattr(step, name) for step in steps) == getattr(rank, name)
    assert known_sum(steps) == rank.wait_ns
    # What is known in part is so for the rank: of steps that are known whole nothing is said.
    kinds = {name: replace(kind, bounds={}) for name, kind in rank.by_kind.items()}
    added = add_kinds([step.by_kind for step in steps])
    assert {name: replace(kind, bounds={}) for name, kind in added.items()} == kinds
    sums = {state: sum(step.states_ns[state] for step in steps) for state in STATES}
    assert sums == rank.states_ns


def _states_add_up(step: StepFigures) -> None:
    assert all(sum(one.states_ns.values()) == step.window_ns for one in step.ranks)
    assert step.states_ns == {
        state: sum(one.states_ns[state] for one in step.ranks) for state in STATES
    }
