"""Figures of bubbles draw the tables that they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpprof.dashboards.figures.bubbles import (
    RunCauses,
    RunIdle,
    RunMatrix,
    cause_icicle,
    idle_map,
    waited_map,
)
from dpprof.dashboards.figures.png import rgb
from dpprof.dashboards.view.theme import DARK, LIGHT
from dpprof.reporters.blocks.units import TimeUnit

MS = TimeUnit("ms", 10**6)


def luminance(color: str) -> float:
    return float(np.dot((0.2126, 0.7152, 0.0722), rgb(color)))


def causes(*rows: tuple[str, str, int, int]) -> RunCauses:
    names = ["phase", "state", "cause_rank", "length_ns"]
    return RunCauses("run", pd.DataFrame(rows, columns=names))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_an_icicle_splits_all_bubbles(theme: Any) -> None:
    run = causes(
        ("warmup", "bubble.warmup", 1, 5),
        ("steady", "bubble.dependency", 2, 30),
        ("steady", "bubble.dependency", 1, 10),
        ("steady", "bubble.host", -1, 3),
        ("cooldown", "bubble.cooldown", -1, 2),
    )
    (trace,) = cause_icicle(run, theme, MS).data
    assert dict(zip(trace.ids, trace.values, strict=True)) == {
        "all": 50,
        "all/warmup": 5,
        "all/warmup/1": 5,
        "all/steady": 43,
        "all/steady/bubble.dependency": 40,
        "all/steady/bubble.dependency/2": 30,
        "all/steady/bubble.dependency/1": 10,
        "all/steady/bubble.host": 3,
        "all/cooldown": 2,
    }
    assert [parent for parent in trace.parents if parent and parent not in trace.ids] == []
    assert trace.labels[2] == "for rank 1"
    inks = {*trace.marker.colors, *trace.marker.pattern.bgcolor, *trace.marker.pattern.fgcolor}
    assert min(luminance(ink) for ink in inks) > luminance(trace.textfont.color) + 110


def test_many_waited_for_are_added_up() -> None:
    run = causes(*[("steady", "bubble.straggler", rank, 100 - rank) for rank in range(10)])
    (trace,) = cause_icicle(run, LIGHT, MS).data
    sizes = dict(zip(trace.ids, trace.values, strict=True))
    children = {path: size for path, size in sizes.items() if path.count("/") == 3}
    assert len(children) == 7
    assert children["all/steady/bubble.straggler/others"] == 94 + 93 + 92 + 91
    assert sum(children.values()) == sizes["all"]


def test_a_map_of_waits_leaves_blank_who_did_not_wait() -> None:
    run = RunMatrix("run", [3, 5], np.array([[0, 2_000_000], [0, 0]]))
    figure = waited_map([run], LIGHT, MS)
    (trace,) = figure.data
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 2)
    assert (trace.x, trace.y) == (("3", "5"), ("3", "5"))
    assert [list(row) for row in trace.z] == [[None, 2.0], [None, None]]


def test_a_map_of_idle_times_has_edges_in_time() -> None:
    runs = [
        RunIdle("a", [0], np.array([0, 10, 20]) * 10**6, np.array([[0.5, 1.0]])),
        RunIdle("b", [0, 1], np.array([0, 5]) * 10**6, np.array([[0.0], [0.25]])),
    ]
    first, second = idle_map(runs, LIGHT, MS).data
    assert (list(first.x), [list(row) for row in first.z]) == ([0, 10, 20], [[50.0, 100.0]])
    assert (list(second.y), [list(row) for row in second.z]) == (["0", "1"], [[0.0], [25.0]])
