"""Headline figures and their changes, in the words that tiles show."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.analysis.metrics import mean_ns
from dpprof.analysis.report.analyze import analyze
from dpprof.dashboards.data.headline import (
    Headline,
    change_text,
    headlines,
    is_better,
    value_text,
)
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.runs.run import Run

MS = TimeUnit("ms", 10**6)


def headline(value: float | None, unit: Any = "ns", better: int = -1) -> Headline:
    return Headline(id="x", label="X", unit=unit, value=value, about="", better=better)


@pytest.mark.parametrize(
    ("new", "base", "unit", "text"),
    [
        (4_000_000, 5_000_000, "ns", "-20.0% (-1.00 ms)"),
        (6_000_000, 5_000_000, "ns", "+20.0% (+1.00 ms)"),
        (5, 5, "ns", "±0.0% (±0.00 ms)"),
        (2**31 - 888, 2**31, "bytes", "±0.0% (-888.00 B)"),
        (0.24999, 0.25, "share", "±0.0 points"),
        (1_000_000, 0, "ns", "+1.00 ms"),
        (0.125, 0.25, "share", "-12.5 points"),
        (3 * 2**30, 2**31, "bytes", "+50.0% (+1.00 GiB)"),
        (1500, 1000, "rate", "+50.0% (+500)"),
        (None, 1, "ns", ""),
        (1, None, "share", ""),
    ],
)
def test_a_change_in_words(new: Any, base: Any, unit: str, text: str) -> None:
    said = change_text(headline(new, unit), headline(base, unit), MS)
    assert said == text.replace("-", "\N{MINUS SIGN}")


@pytest.mark.parametrize(
    ("new", "base", "better", "good"),
    [
        (4, 5, -1, True),
        (6, 5, -1, False),
        (6, 5, 1, True),
        (6, 5, 0, None),
        (5, 5, -1, None),
        (5.0001, 5, -1, None),
        (None, 5, -1, None),
        (5, None, -1, None),
    ],
)
def test_whether_a_change_is_good_news(new: Any, base: Any, better: int, good: Any) -> None:
    assert is_better(headline(new, better=better), headline(base, better=better)) is good


def test_figures_are_means_over_ranks_and_steps(library: Any) -> None:
    report = library.get("dualpipe").report
    found = {one.id: one for one in headlines(report)}
    count = len(report.ranks) * len(report.per_step)
    assert {name: one.value for name, one in found.items()} == {
        "step-time": report.step_ns,
        "bubble": report.total.bubble_share,
        "hidden": report.total.hidden_share,
        "exposed": report.total.exposed_ns / count,
        "wait": report.total.wait_ns / count,
        "memory": report.total.memory.peak_allocated_bytes,
        "throughput": report.tokens_per_second,
    }
    assert value_text(found["step-time"], MS) == f"{report.step_ns / 1e6:.2f} ms"


def test_a_simulated_run_does_not_say_what_waits(library: Any) -> None:
    """Its messages are posted when they start to travel, so that 0 would be no finding."""
    (wait,) = [one for one in headlines(library.get("dualpipe~ideal").report) if one.id == "wait"]
    assert wait.value is None
    assert "simulated" in wait.reason


def test_what_is_not_known_has_a_reason() -> None:
    report = analyze(Run(name="nothing", source="captured"))
    assert mean_ns(report, 5) is None
    for one in headlines(report):
        assert (one.value, value_text(one, MS)) == (None, "n/a"), one.id
        assert one.reason
