"""The accounts of a part of a step: parts that tile a step add up to the step's own accounts."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.accounting.account import Accounting, account
from dpprof.analysis.accounting.area import RankArea, add_names, rank_area
from dpprof.runs.run import Run
from dpprof.tables.kinds import STATES
from dpprof.trace.load import load_run

TRACES = Path(__file__).resolve().parents[2] / "traces"


@cache
def sample() -> tuple[Run, Accounting]:
    run = load_run(TRACES / "dualpipe")
    return run, account(run)


def areas(rank: int, cuts: list[float]) -> tuple[list[RankArea], object]:
    """The parts of a rank's first step between cuts, given as shares of it, and its accounts."""
    run, accounts = sample()
    step = run.used_steps[0]
    whole = accounts.states.query(f"rank == {rank} and step == {step}").iloc[0]
    start, end = int(whole["start_ns"]), int(whole["end_ns"])
    edges = sorted({start, end, *(start + int(cut * (end - start)) for cut in cuts)})
    events = run.held.of_rank(rank)
    spans = pairwise(edges)
    return [rank_area(events, accounts.regions, rank, step, span) for span in spans], whole


@settings(max_examples=15, deadline=None)
@given(rank=st.sampled_from([0, 1]), cuts=st.lists(st.floats(0, 1), max_size=5))
def test_parts_add_up_to_the_step(rank: int, cuts: list[float]) -> None:
    parts, whole = areas(rank, cuts)
    for state in STATES:
        assert sum(part.states[state] for part in parts) == whole[state]
    for part in parts:
        assert sum(part.states.values()) == part.span_ns
        assert part.unlisted_ns == 0
    run, accounts = sample()
    step = run.used_steps[0]
    (transfers,) = (one for one in accounts.transfers if (one.rank, one.step) == (rank, step))
    for kind, figures in transfers.by_kind.items():
        found = [part.transfers.by_kind[kind] for part in parts if kind in part.transfers.by_kind]
        assert sum(one.total_ns for one in found) == figures.total_ns
        assert sum(one.hidden_ns for one in found) == figures.hidden_ns


def test_what_ran_is_added_up_by_kind_and_name() -> None:
    (part,), _ = areas(0, [])
    run, _ = sample()
    events = run.held.of_rank(0)
    events = events[events["step"] == run.used_steps[0]]
    of_one = events[events["name"].astype(str) == part.names["name"].iloc[0]]
    assert part.names["count"].iloc[0] == len(of_one)
    assert part.names["total_ns"].iloc[0] == (of_one["end_ns"] - of_one["start_ns"]).sum()
    assert part.names["total_ns"].is_monotonic_decreasing


def test_bubbles_that_are_not_listed_are_counted_apart() -> None:
    run, accounts = sample()
    step = run.used_steps[0]
    whole = accounts.states.query(f"rank == 0 and step == {step}").iloc[0]
    span = (int(whole["start_ns"]), int(whole["end_ns"]))
    listed = accounts.regions.nlargest(1, "end_ns")
    part = rank_area(run.held.of_rank(0), listed, 0, step, span)
    bubbles = sum(value for state, value in part.states.items() if state.startswith("bubble"))
    expected = sum(whole[state] for state in STATES if state.startswith("bubble"))
    assert part.unlisted_ns + bubbles == expected
    assert part.unlisted_ns > 0


def test_nothing_is_an_empty_table() -> None:
    assert list(add_names([]).columns) == ["kind", "name", "count", "total_ns"]


@pytest.mark.parametrize("span", [(10, 20)])
def test_a_span_without_work(span: tuple[int, int]) -> None:
    run, accounts = sample()
    part = rank_area(run.held.of_rank(0), accounts.regions, 0, run.used_steps[0], span)
    assert part.unlisted_ns == 10
    assert part.names.empty
