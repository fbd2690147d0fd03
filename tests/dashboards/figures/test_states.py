"""Bars of states, and the waterfall between two step times."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.dashboards.figures.difference import (
    COMPUTING,
    OTHERS,
    StateChange,
    state_changes,
    waterfall,
)
from dpprof.dashboards.figures.states import IDLE, INSIDE_SLOTS, StateBar, state_bars
from dpprof.dashboards.view.theme import DARK, LIGHT
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.kinds import EXPOSED_STATES

MS = TimeUnit("ms", 10**6)


def test_bars_have_a_trace_for_every_state_that_occurs() -> None:
    bars = [
        StateBar("a", {"compute_only": 3e6, "bubble.warmup": 1e6, "memory": 0}),
        StateBar("a, ideal", {INSIDE_SLOTS: 2e6, IDLE: 0.5e6}),
    ]
    figure = state_bars(bars, LIGHT, MS)
    assert {one.name: one.x for one in figure.data} == {
        "compute_only": (3.0, 0.0),
        "bubble: warmup": (1.0, 0.0),
        "inside slots": (0.0, 2.0),
        "idle": (0.0, 0.5),
    }
    assert all(one.y == ("a", "a, ideal") for one in figure.data)
    assert figure.data[1].customdata == ("25.0%", "0.0%")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_no_two_states_look_alike(theme: Any) -> None:
    states = ["compute_only", "overlap", "memory", *EXPOSED_STATES]
    states += [f"bubble.{one}" for one in ("warmup", "cooldown", "dependency", "straggler", "host")]
    bars = [StateBar("a", dict.fromkeys([*states, INSIDE_SLOTS, IDLE], 1e6))]
    looks = [
        (one.marker.color, one.marker.pattern.shape) for one in state_bars(bars, theme, MS).data
    ]
    assert len(looks) == len(states) + 2
    assert len(set(looks)) == len(looks)


def test_nothing_to_show_is_an_empty_figure() -> None:
    assert len(state_bars([], LIGHT, MS).data) == 0


def test_what_is_hidden_under_computing_changes_no_step(make_run, event) -> None:
    base = analyze(make_run([event(0, 0, 600), event(0, 600, 1000, "dispatch", ready_ns=0)]))
    new = analyze(make_run([event(0, 0, 600), event(0, 100, 500, "dispatch", ready_ns=0)]))
    assert state_changes(new, base) == [StateChange("exposed.dispatch", -400.0)]


def test_a_side_without_steps_has_no_changes(make_run, event) -> None:
    some = analyze(make_run([event(0, 0, 600)]))
    assert state_changes(some, analyze(make_run([]))) == []
    assert state_changes(analyze(make_run([])), some) == []


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 2000), min_size=4, max_size=12), steps=st.integers(1, 3))
def test_the_changes_are_the_change_of_the_step_time(make_run, event, lengths, steps) -> None:
    kinds = ("compute", "dispatch", "memory")
    base = [
        event(i % 2, 10 * i, 10 * i + length, kinds[i % 3], ready_ns=0)
        for i, length in enumerate(lengths)
    ]
    new = [
        event(rank, 5000 * step + start, 5000 * step + start + length, "compute", step=step)
        for step in range(steps)
        for rank, (start, length) in enumerate(pairwise(lengths))
    ]
    old_report = analyze(make_run(base))
    report = analyze(make_run(new, used_steps=tuple(range(steps))))
    changes = state_changes(report, old_report)
    expected = report.window_ns / steps - old_report.window_ns
    assert math.isclose(sum(one.change_ns for one in changes), expected, abs_tol=1e-6)
    names = [one.name for one in changes]
    assert len(set(names)) == len(names)
    assert not {"compute_only", "overlap"} & set(names)
    assert OTHERS not in names[:-1]


@pytest.mark.parametrize(("change_ms", "broken"), [(-0.5, True), (-40.0, False), (0.0, False)])
def test_small_changes_break_the_axis(change_ms: float, broken: bool) -> None:
    figure = waterfall(("new", "base"), 100e6, [StateChange(COMPUTING, change_ms * 1e6)], LIGHT, MS)
    marks = [one.x for one in figure.layout.annotations]
    assert marks == (["base", "new"] if broken else [])
    if broken:
        low, high = figure.layout.yaxis.range
        assert low < 99.5 < 100 < high
        assert (100 - 99.5) / (high - low) > 0.3, "the change is a hairline"
        assert "from" in figure.layout.yaxis.title.text
    else:
        assert figure.layout.yaxis.rangemode == "tozero"


def test_the_waterfall_leads_from_one_step_time_to_the_other() -> None:
    changes = [StateChange(COMPUTING, -2e6), StateChange("bubble.warmup", 0.5e6)]
    (trace,) = waterfall(("new", "base"), 10e6, changes, LIGHT, MS).data
    assert trace.x == ("base", "computing", "bubble:<br>warmup", "new")
    assert trace.y == (10.0, -2.0, 0.5, 0.0)
    assert trace.measure == ("absolute", "relative", "relative", "total")
    assert trace.text == ("10.00", "-2.00", "+0.50", "8.50")
