"""Which runs are compared with which, and that none is left out in silence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dpprof.dashboards.pages import bubbles, memory, overlap
from dpprof.dashboards.view.compared_runs import compared, unlike


@pytest.fixture
def five(make_run, event) -> list[Any]:
    """Five runs, each a little longer than the one before."""
    memory_rows = [{"rank": 0, "at_ns": 1, "allocated_bytes": 8, "parameter_bytes": -1}]
    return [
        make_run(
            [event(0, 0, 100), event(0, 200, 300 + number, "dispatch", ready_ns=250)],
            memory=memory_rows,
            name=f"run{number}",
        )
        for number in range(5)
    ]


def ids(runs: Any) -> list[str]:
    return [run.id for run in runs]


def test_the_baseline_comes_last_and_is_no_run_of_its_own(make_context, five) -> None:
    found = compared(make_context(runs=five, baseline="run1"))
    assert ids(found.runs) == ["run0", "run2", "run3", "run4"]
    assert found.base is not None
    assert ids(found.everything) == ["run0", "run2", "run3", "run4", "run1"]


def test_the_baseline_alone_is_a_run_like_any_other(make_context, five) -> None:
    assert compared(make_context(runs=five)).base is None
    alone = compared(make_context(runs=five[:1], baseline="run0"))
    assert (ids(alone.runs), alone.base) == (["run0"], None)


def test_of_many_runs_some_are_taken_and_the_others_named(make_context, five) -> None:
    found = compared(make_context(runs=five, baseline="run4"))
    assert ids(found.some(3)) == ["run0", "run1", "run4"]
    assert found.left_out(3) == ["not shown: run2, run3; choose up to 3 runs above"]
    assert found.left_out(5) == []
    assert ids(compared(make_context(runs=five)).some(3)) == ["run0", "run1", "run2"]


@pytest.mark.parametrize("page", [overlap, bubbles, memory])
def test_pages_say_which_runs_they_leave_out(page: Any, make_context, five, text_of) -> None:
    content = page.layout(make_context(runs=five, baseline="run4"))
    assert "not shown: run2, run3" in text_of(content)


def test_what_is_not_alike_is_named(library) -> None:
    new, base = (library.get(id).report for id in ("dualpipe", "1f1b"))
    assert unlike(new, base) == []
    other = msgspec.structs.replace(base, source="captured", micro_batches=None)
    assert unlike(new, other) == [
        "the runs come from emulated and captured (dualpipe, 1f1b); keep that in mind where "
        "figures are compared",
        f"the runs have micro-batches: {new.micro_batches} and what is not known (dualpipe, "
        "1f1b); keep that in mind where figures are compared",
    ]
