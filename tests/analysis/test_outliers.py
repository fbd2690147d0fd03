"""What is slow in one step alone is named: a slot, or the rank where no slot explains it."""

from __future__ import annotations

import numpy as np
import pytest

from dpprof.analysis.report.analyze import analyze
from tests.conftest import build_run

SLOTS = [f"F0.{number}" for number in range(4)]


def run_of(lengths, steps=5, slots=True):
    """Two ranks whose slots compute one after the other; `lengths` of (rank, step, slot)."""
    rows, events = [], []
    for rank in (0, 1):
        for step in range(steps):
            at = step * 10_000
            for slot in SLOTS:
                end = at + lengths.get((rank, step, slot), 100)
                span = {"rank": rank, "step": step, "start_ns": at, "end_ns": end}
                rows.append({**span, "slot": slot, "operation": "F"})
                events.append({**span, "kind": "compute"})
                at = end
    used = tuple(range(steps))
    return build_run(events, slots=rows if slots else (), used_steps=used)


def found(run):
    report = analyze(run)
    assert report.slow_slots == []
    named = [(one.rank, one.step, one.slot, one.what, one.usual_ns) for one in report.outliers]
    return named, [one.excess_ns for one in report.outliers]


def test_steps_that_are_alike_have_none():
    assert found(run_of({(0, 2, "F0.1"): 104})) == ([], [])


def test_a_slot_that_was_slow_once_is_named_with_its_step():
    assert found(run_of({(1, 3, "F0.2"): 700})) == ([(1, 3, "F0.2", "compute", 100)], [600])


@pytest.mark.parametrize("slots", [True, False])
def test_a_rank_is_named_where_no_one_slot_explains_its_step(slots):
    lengths = {(1, 3, slot): 200 for slot in SLOTS}
    assert found(run_of(lengths, slots=slots)) == ([(1, 3, "", "compute", 400)], [400])


def test_of_two_steps_nothing_says_which_is_usual():
    assert found(run_of({(1, 1, "F0.2"): 700}, steps=2)) == ([], [])


@pytest.mark.parametrize("seed", range(5))
def test_what_is_never_twice_the_same_has_no_outliers(seed):
    """A slot between 300 and 1,500 in steps of 1,000: some steps are far above its median."""
    lengths = np.random.default_rng(seed).integers(300, 1500, 12).tolist()
    run = run_of({(0, step, "F0.1"): int(one) for step, one in enumerate(lengths)}, steps=12)
    assert [one for one in analyze(run).outliers if one.slot == "F0.1"] == []


def test_a_checkpoint_every_few_steps_is_named_with_each_of_its_steps():
    lengths = {(1, step, "F0.2"): 700 for step in (2, 5, 8)}
    named, excess = found(run_of(lengths, steps=9))
    assert named == [(1, step, "F0.2", "compute", 100) for step in (2, 5, 8)]
    assert excess == [600] * 3
