"""Intervals that are right about as often as they say, and why there may be none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.diff import effects as module
from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.step_samples import too_few
from dpprof.gate.evaluate import RuleComparison
from dpprof.gate.judge import judge
from dpprof.statistics.difference import Sampling, difference, scale_of
from dpprof.statistics.figure import figure_of

SIMULATED = ("simulated", "simulated")
"""Of which no spread is assumed but that of the steps."""


def effects(base, new, sources=SIMULATED):
    return module.effects(base, new, sources)


@pytest.mark.parametrize(("base", "new"), [(2, 2), (3, 3), (5, 5), (3, 8), (10, 10)])
def test_unchanged_steps_are_rarely_significant(base, new):
    """At most 1 in 50 may be (1 in 100 each way), give or take what these 400 trials can tell."""
    draw = np.random.default_rng(7)
    trials = 400
    first, second = draw.normal(100, 3, (trials, base)), draw.normal(100, 3, (trials, new))
    sides = (
        {"step": [1e8] * len(side[0])} | {str(i): one for i, one in enumerate(side.tolist())}
        for side in (1e6 * first, 1e6 * second)
    )
    found = effects(*sides)
    assert sum(one.significant for one in found.values()) / trials < 0.04


_CAPTURED = ("captured", "captured")


def test_a_change_beyond_the_spread_is_significant():
    base = {"step": [100.0, 102.0, 101.0, 99.0, 100.0]}
    effect = effects(base, {"step": [110.0, 111.0, 109.0, 110.0, 112.0]})["step"]
    assert effect.significant
    assert effect.change_ns == pytest.approx(10)
    assert effect.high_ns == pytest.approx(12.5, abs=1.0)
    assert effect.low_ns == pytest.approx(7.5, abs=1.0)
    same = effects(base, {"step": [101.0, 99.0, 100.0, 103.0, 100.0]})["step"]
    assert not same.significant


def test_exchanged_sides_give_the_opposite_interval():
    base, new = {"step": [1.0, 5.0, 2.0]}, {"step": [4.0, 4.5, 9.0, 6.0]}
    forth, back = effects(base, new)["step"], effects(new, base)["step"]
    assert (back.change_ns, back.low_ns, back.high_ns) == pytest.approx(
        (-forth.change_ns, -forth.high_ns, -forth.low_ns)
    )


def test_steps_without_spread_have_an_interval_without_width():
    effect = effects({"step": [3.0, 3.0]}, {"step": [4.0, 4.0]})["step"]
    assert (effect.low_ns, effect.change_ns, effect.high_ns) == (1.0, 1.0, 1.0)
    assert effect.significant


def test_one_step_says_why_there_is_no_interval(simulated, diffs):
    reason = "one step in {}: its spread is not known; profile several steps"
    assert too_few((1, 5), _CAPTURED) == reason.format("BASE")
    assert too_few((3, 1), _CAPTURED) == reason.format("NEW")
    assert too_few((2, 2), _CAPTURED) == ""
    assert too_few((1, 4), ("simulated", "emulated")) == (
        "one simulated step in BASE, which has no spread"
    )
    assert too_few((1, 1), ("captured", "simulated")).startswith("one simulated step in NEW, which")
    diff = diff_runs(simulated("1f1b", 2, 4), simulated("zb1p", 2, 4))
    assert diff.unknown_effects == "one simulated step in BASE and NEW, which has no spread"
    assert all(part.effect is None for part in diffs.parts_of(diff.time))


def test_effects_are_those_of_the_mean_of_the_ranks(make_run, event):
    def run(*lengths):
        rows = [
            event(rank, 100 * step, 100 * step + length, step=step, name="work")
            for rank in (0, 1)
            for step, length in enumerate(lengths)
        ]
        return make_run(rows, used_steps=(0, 1, 2))

    diff = diff_runs(run(10, 12, 11), run(20, 21, 22))
    effect = diff.time.effect
    assert effect is not None
    assert effect.change_ns == pytest.approx(diff.time.change_ns / diff.steps / diff.rank_count)
    assert effect.significant


@given(
    st.lists(st.integers(90, 110), min_size=2, max_size=9),
    st.lists(st.integers(90, 110), min_size=2, max_size=9),
    st.sampled_from(["captured", "emulated"]),
)
@settings(max_examples=60, deadline=None)
def test_what_a_gate_calls_significant_a_diff_does_too(base, new, source):
    """A gate with one rule says the same of the step time as a diff of the same two runs."""
    windows = [[10**6 * one for one in side] for side in (base, new)]
    effect = effects({"step": windows[0]}, {"step": windows[1]}, (source, source))["step"]
    figures = [figure_of([side], "ns") for side in windows]
    sides = [
        Sampling.of(source, [len(side)], scale_of("ns", figure.typical, figure.typical))
        for side, figure in zip(windows, figures, strict=True)
    ]
    found = difference(figures[1], sides[1], figures[0], sides[0])
    comparison = RuleComparison(None, True, found.value, found.reference, found, tested=True)
    [[check]] = judge([[comparison]])
    assert (check.status == "failed") == effect.significant
    assert effect.change_ns == found.change
