"""Differences and their spread: trimmed means by hand, runs as samples, rates of false alarms."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.gate.snapshot import sampling
from dpprof.statistics.difference import (
    RUN_SPREADS,
    Difference,
    Sampling,
    _by_chance,
    assumed_spread,
    beside,
    difference,
)
from dpprof.statistics.figure import Figure, _shared, figure_of, trim
from dpprof.statistics.student import survival

MS = 10**6
samples = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


def test_the_lowest_and_highest_of_five_do_not_count() -> None:
    figure = figure_of([[100, 10, 12, 11, 1]], "rate")
    assert (figure.mean, figure.middle, figure.typical) == (26.8, 11, 11)
    # Winsorised: 10 10 11 12 12, sum of squares 4; squared standard error 4 / (3 * 2).
    assert figure.step_sd == pytest.approx(math.sqrt(5 * 4 / 6), abs=0.01)
    assert figure.run_sd is None


def test_few_samples_are_all_taken() -> None:
    assert figure_of([[10, 20, 40]], "ns") == Figure(23, None, 15)
    assert figure_of([[7]], "ns") == Figure(7)
    assert figure_of([[0.1234567, 0.3]], "share") == Figure(0.211728, None, 0.124835)
    assert [trim(steps) for steps in (1, 4, 5, 9, 10)] == [0, 0, 1, 1, 2]


def test_repeated_runs_have_a_spread_of_runs() -> None:
    figure = figure_of([[10, 12], [20, 22]], "ns")
    assert (figure.mean, figure.step_sd) == (16, round(math.sqrt(2)))
    assert figure.run_sd == round(math.sqrt(50))
    assert figure_of([[10], [20]], "ns") == Figure(15, None, None, 7)


@given(st.lists(samples, min_size=1, max_size=4))
def test_the_mean_is_that_of_all_and_the_middle_between_the_ends(runs: list[list[int]]) -> None:
    figure = figure_of(runs, "ns")
    every = [value for run in runs for value in run]
    assert figure.mean == round(sum(every) / len(every))
    assert min(every) <= figure.typical <= max(every)


def steps(count: int, run_sd: float = 0.0) -> Sampling:
    return Sampling([count], run_sd)


def test_a_difference_is_that_of_students_test_where_nothing_is_trimmed() -> None:
    one, other = figure_of([[12, 14, 16]], "rate"), figure_of([[10, 11, 12]], "rate")
    found = difference(one, steps(3), other, steps(3))
    assert (found.change, found.relative) == (3, 3 / 11)
    assert found.error == pytest.approx(math.sqrt(4 / 3 + 1 / 3), abs=1e-2)
    # Welch-Satterthwaite by hand: (5/3)^2 / ((4/3)^2/2 + (1/3)^2/2)
    assert found.freedom == pytest.approx(25 / 8.5, abs=1e-2)
    assert found.chance == pytest.approx(survival(3 / found.error, found.freedom))
    low, high = found.interval or (0, 0)
    assert low < 0 < 3 < high
    assert low + high == pytest.approx(6)


def test_runs_vary_by_more_than_their_steps_explain() -> None:
    steady = Figure(100, None, 0)
    found = difference(Figure(103, None, 0), steps(5, 1.0), steady, steps(5, 1.0))
    assert (found.error, found.freedom) == (pytest.approx(math.sqrt(2)), math.inf)
    repeated = Figure(100, None, 0, run_sd=6)
    seen = difference(Figure(103, None, 0), steps(5, 1.0), repeated, Sampling([5, 5, 5], 1.0))
    assert seen.error == pytest.approx(6 * math.sqrt(1 + 1 / 3))
    assert seen.freedom == pytest.approx(2)
    for run_sd in (0.1, 2.1):  # 2.1 squared is less than chi-square's 99 % with 2 degrees, 9.21 / 2
        calm = Figure(100, None, 0, run_sd=run_sd)
        floor = difference(Figure(103, None, 0), steps(5, 1.0), calm, Sampling([5, 5, 5], 1.0))
        assert (floor.error, floor.freedom) == (pytest.approx(math.sqrt(1 + 1 / 3)), math.inf)


@pytest.mark.parametrize("spreads", [(1.0, 3.0), (3.0, 1.0)])
def test_of_two_assumed_spreads_of_runs_the_larger_counts(spreads: tuple[float, float]) -> None:
    """The sides may have other step times, of which the spread is a part."""
    one, other = (steps(5, run_sd) for run_sd in spreads)
    found = difference(Figure(103, None, 0), one, Figure(100, None, 0), other)
    assert found.error == pytest.approx(3 * math.sqrt(2))


def test_one_step_says_nothing_of_the_spread_unless_it_is_assumed() -> None:
    unknown = difference(Figure(5), steps(1, 0.1), Figure(4, None, 1), steps(5, 0.1))
    assert (unknown.error, unknown.chance, unknown.interval) == (None, None, None)
    exact = Sampling([1], 0.0, 0.0)
    assert difference(Figure(5), exact, Figure(4), exact).interval == (1, 1)
    assert difference(Figure(5), exact, Figure(4), exact).chance == 0
    assert difference(Figure(4), exact, Figure(4), exact).chance == 0.5
    assumed = Sampling([1], 3.0, 4.0)
    found = difference(Figure(5), assumed, Figure(4), assumed)
    assert (found.error, found.freedom) == (pytest.approx(math.sqrt(50)), math.inf)


def test_what_is_detectable_is_just_significant() -> None:
    found = difference(Figure(10, None, 1), steps(5), Figure(8, None, 2), steps(5))
    least = found.detectable(0.001) or 0.0
    assert found.error is not None
    assert survival(least / found.error, found.freedom) == pytest.approx(0.001)


def test_nothing_relative_to_nothing() -> None:
    assert Difference(3, 0, 1.0).relative is None
    assert Difference(-3, -6, 1.0).relative == 0.5


def test_how_much_runs_vary_is_a_part_of_the_step_and_depends_on_the_source(make_snapshot) -> None:
    snapshot = make_snapshot(steps=(5, 5))
    run, step = RUN_SPREADS["emulated"], 0.003
    assert sampling(snapshot, "ns", 7) == Sampling([5, 5], run * 1000 * MS, step * 1000 * MS)
    assert sampling(snapshot, "share", 7) == Sampling([5, 5], run, step)
    assert sampling(snapshot, "rate", 2000) == Sampling([5, 5], run * 2000, step * 2000)
    assert sampling(snapshot, "bytes", 7) == Sampling([5, 5], 0, 0)
    assert sampling(snapshot, "share", 7, 0.02) == Sampling([5, 5], 0.02, step)
    captured = make_snapshot(source="captured")
    assert sampling(captured, "share", 7) == Sampling([5], RUN_SPREADS["captured"], None)
    simulated = make_snapshot(source="simulated")
    assert sampling(simulated, "ns", 7, 0.02) == Sampling([5], 0, 0)


def brute_force_correlation(run: list[int]) -> float:
    """The variance of the mean over that of independent steps, by the matrix of correlations."""
    n, values = len(run), np.array(run, float) - np.mean(run)
    seen = (values[1:] * values[:-1]).sum() / (values**2).sum()
    sure = n**-0.5 if seen > 2 * n**-0.5 else 0
    rho = min(max((n * seen + 1) / (n - 3) + sure, 0), 0.95)
    of_mean = (rho ** np.abs(np.subtract.outer(range(n), range(n)))).sum() / n**2
    centred = 1 - of_mean  # what is left of a variance after the mean is taken off
    return float(of_mean / (centred / (n - 1)))


@given(st.lists(st.integers(0, 10**6), min_size=8, max_size=30))
def test_steps_that_follow_each_other_count_as_fewer(run: list[int]) -> None:
    if len(set(run)) == 1:
        assert _shared(run) == 1
    else:
        assert _shared(run) == pytest.approx(brute_force_correlation(run))
    assert _shared(run[:7]) == 1


@pytest.mark.parametrize(("correlation", "most"), [(0.0, 10), (0.5, 10), (0.9, 20)])
def test_correlated_steps_are_rarely_significant(correlation: float, most: int) -> None:
    random, alarms, draws, count = np.random.default_rng(3), 0, 1000, 20
    for _ in range(draws):
        series = np.zeros((2, count))
        series[:, 0] = random.normal(size=2)
        for i in range(1, count):
            fresh = np.sqrt(1 - correlation**2) * random.normal(size=2)
            series[:, i] = correlation * series[:, i - 1] + fresh
        one, other = (figure_of([side.tolist()], "rate") for side in 1000 + 10 * series)
        found = difference(one, steps(count), other, steps(count))
        alarms += found.chance is not None and found.change > 0 and found.chance < 0.005
    assert alarms <= most  # of 1000; 5 are expected, and as independent steps 0.9 gives over 200


@pytest.mark.parametrize("draw", ["normal", "with hiccups"])
def test_unchanged_samples_are_rarely_significant(draw: str) -> None:
    random, alarms, draws = np.random.default_rng(7), 0, 1000
    for _ in range(draws):
        values = random.normal(1000, 10, size=(2, 5))
        if draw == "with hiccups":
            values += (random.random((2, 5)) < 0.05) * 300
        one, other = (figure_of([side.tolist()], "rate") for side in values)
        found = difference(one, steps(5), other, steps(5))
        alarms += found.chance is not None and found.change > 0 and found.chance < 0.01
    assert alarms <= 15  # of 1000; 10 are expected, more than 15 in one of twenty seeds


figures = st.builds(
    Figure,
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
)
samplings = st.builds(
    Sampling, st.lists(st.integers(1, 20), min_size=1, max_size=4), st.sampled_from([0.0, 1e6])
)


@given(figures, samplings, figures, samplings)
def test_every_difference_can_be_judged(one, own: Sampling, other, theirs: Sampling) -> None:
    if any(
        figure.step_sd is not None and sampling.freedom == 0
        for figure, sampling in ((one, own), (other, theirs))
    ):
        return  # no spread of steps where every run has one
    found = difference(one, own, other, theirs)
    if found.chance is None:
        assert (found.interval, found.detectable(1e-6)) == (None, None)
        return
    assert 0 <= found.chance <= 0.5
    low, high = found.interval or (0.0, 0.0)
    assert low <= found.change <= high
    assert 0 <= (found.detectable(1e-6) or 0.0) < math.inf


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(2, 9.210), (3, 11.345), (5, 15.086), (10, 23.209), (30, 50.892)]
)
def test_what_chance_makes_of_a_variance_is_chi_square(freedom: int, quantile: float) -> None:
    """The upper 1 % of tables; the approximation is within 1 % of them."""
    assert _by_chance(freedom) * freedom == pytest.approx(quantile, rel=0.01)


@pytest.mark.parametrize("chance", [0.01, 0.2])
def test_the_least_change_that_can_be_told_is_just_significant(chance: float) -> None:
    found = Difference(130.0, 100.0, 4.0, 7.0)
    least = found.detectable(chance)
    assert survival(least / 4.0, 7.0) == pytest.approx(chance)
    assert Difference(1.0, 1.0, 0.0).detectable(chance) == 0.0
    assert Difference(1.0, 1.0, None).detectable(chance) is None


def test_a_source_that_is_not_known_varies_as_captures_do() -> None:
    assert assumed_spread("from elsewhere", None) == RUN_SPREADS["captured"]
    assert assumed_spread("simulated", 0.3) == RUN_SPREADS["simulated"]
    assert assumed_spread("captured", 0.3) == 0.3


@pytest.mark.parametrize("runs", [[[1, 5], [9, 9]], [[10], [20], [40]]])
def test_runs_spread_by_their_means(runs: list[list[int]]) -> None:
    means = [statistics.fmean(run) for run in runs]
    assert figure_of(runs, "ns").run_sd == round(statistics.stdev(means))


def test_a_change_is_significant_from_one_chance_in_a_hundred() -> None:
    for t, significant in ((2.32, False), (2.33, True)):
        assert Difference(100.0 + t, 100.0, 1.0).significant == significant
    assert not Difference(200.0, 100.0, None).significant
    assert Difference(101.0, 100.0, 0.0).significant
    assert not Difference(100.0, 100.0, 0.0).significant


def test_a_limit_has_no_spread_of_its_own() -> None:
    found = beside(Figure(12, 10, 2.0), steps(4), 7)
    assert (found.value, found.reference) == (10, 7)
    assert (found.error, found.freedom) == (pytest.approx(1.0), pytest.approx(3.0))
