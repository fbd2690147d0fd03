"""Student's t against tables and against the integral of its density."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.statistics.student import incomplete_beta, quantile, survival


@pytest.mark.parametrize(
    ("tail", "df", "t"),
    [  # as printed in tables
        (0.025, 1, 12.706),
        (0.025, 8, 2.306),
        (0.001, 8, 4.501),
        (0.05, 30, 1.697),
        (0.005, math.inf, 2.576),
    ],
)
def test_the_values_of_tables(tail: float, df: float, t: float) -> None:
    assert quantile(tail, df) == pytest.approx(t, abs=6e-4)
    assert survival(t, df) == pytest.approx(tail, rel=2e-3)


def integrated(t: float, df: float) -> float:
    """P(T > t) by Simpson's rule over the density, substituting t = tan(angle)."""
    angles = np.linspace(math.atan(t), math.pi / 2 - 1e-9, 20_001)
    points = np.tan(angles)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    density = np.exp(constant - (df + 1) / 2 * np.log1p(points**2 / df)) * (1 + points**2)
    weights = np.ones(len(angles))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return float((density * weights).sum() * (angles[1] - angles[0]) / 3)


@given(st.floats(-20, 20), st.floats(1.5, 60))
def test_survival_is_the_integral_of_the_density(t: float, df: float) -> None:
    assert survival(t, df) == pytest.approx(integrated(t, df), abs=1e-6)


@given(st.floats(1e-9, 0.5), st.floats(0.5, 200) | st.floats(200, 1e15) | st.just(math.inf))
def test_a_quantile_is_the_inverse(tail: float, df: float) -> None:
    assert survival(quantile(tail, df), df) == pytest.approx(tail, rel=1e-6)


def test_the_ends_of_the_beta_function() -> None:
    assert (incomplete_beta(2, 3, 0), incomplete_beta(2, 3, 1)) == (0, 1)
    assert incomplete_beta(1, 1, 0.25) == pytest.approx(0.25)
