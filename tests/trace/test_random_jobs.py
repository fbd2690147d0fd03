"""A few of the random jobs of `ten_thousand`: every figure is true, or n/a, or says its bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trace.judge_jobs import PARTLY, REFUSED, RIGHT, WRONG, judged, truth_of
from tests.trace.random_jobs import FAULTS, planted

KNOWN = ("nothing", "two-devices", "nested-mark", "prefetch", "gap", "mark-on-two-threads")


@pytest.fixture(autouse=True, scope="module")
def without_cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPROF_CACHE", "off")
        yield


@pytest.mark.parametrize("fault", ["nothing", *(one for kind in FAULTS.values() for one in kind)])
def test_nothing_is_wrong_and_silent(fault: str) -> None:
    verdict = judged(planted(4711, fault))
    assert verdict.wrong == ()
    assert verdict.word in ((RIGHT,) if fault in KNOWN else (RIGHT, PARTLY, REFUSED))


def test_the_judge_notices_a_wrong_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.trace.judge_jobs.truth_of",
        lambda *job: truth_of(*job) | {"bubble_ns": truth_of(*job)["bubble_ns"] + 40_000},
    )
    assert judged(planted(4711, "nothing")).word == WRONG


@pytest.mark.parametrize("number", [499, 779])
def test_no_clock_is_moved_for_a_few_operations_that_order_alone_matched(number: int) -> None:
    """Each rank has a collective or two, of other groups: a shift would explain them as one."""
    assert judged(planted(number, "nothing-told")).wrong == ()


def test_a_clock_that_is_bounded_from_one_side_only_splits_nothing() -> None:
    """All messages go away from rank 0: how far its clock is off is not known, nor who waited."""
    assert judged(planted(1293, "offset")).wrong == ()


def test_collectives_of_two_groups_are_not_taken_for_one_of_all_ranks() -> None:
    assert judged(planted(1339, "nothing-told")).wrong == ()
    assert judged(planted(1570, "no-groups")).wrong == ()


def test_a_last_kernel_of_a_second_in_a_trace_of_milliseconds_is_no_work() -> None:
    assert judged(planted(1777, "overlong")).wrong == ()
