"""Intervals that are right about as often as they say, and why there may be none."""

from __future__ import annotations

import numpy as np
import pytest

from dpprof.analysis.diff.bootstrap import effects, student_quantile
from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.step_samples import too_few


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (8, 2.306), (30, 2.042)],
)
def test_student_quantiles_are_those_of_tables(freedom, expected):
    assert student_quantile(freedom) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("base", "new"), [(2, 2), (3, 3), (5, 5), (3, 8), (10, 10)])
def test_unchanged_steps_are_rarely_significant(base, new):
    """At most 1 in 20 may be, give or take what these 800 trials, always the same, can tell."""
    draw = np.random.default_rng(7)
    trials = 800
    first, second = draw.normal(100, 3, (trials, base)), draw.normal(100, 3, (trials, new))
    found = effects(
        {str(trial): first[trial].tolist() for trial in range(trials)},
        {str(trial): second[trial].tolist() for trial in range(trials)},
    )
    assert sum(one.significant for one in found.values()) / trials < 0.075


_CAPTURED = ("captured", "captured")


def test_a_change_beyond_the_spread_is_significant():
    base = {"step": [100.0, 102.0, 101.0, 99.0, 100.0]}
    effect = effects(base, {"step": [110.0, 111.0, 109.0, 110.0, 112.0]})["step"]
    assert effect.significant
    assert effect.change_ns == pytest.approx(10)
    assert effect.high_ns == pytest.approx(11.6, abs=0.5)
    assert effect.low_ns == pytest.approx(8.4, abs=0.5)
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
