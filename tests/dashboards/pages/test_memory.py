"""The memory page says what the report and the memory table say."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.analysis.figures import MemoryFigures
from dpprof.dashboards.data.memory_curves import whole_span
from dpprof.dashboards.figures.memory import peak_parts
from dpprof.dashboards.pages.memory import layout, zoomed
from dpprof.reporters.blocks.units import byte_unit, bytes_text, time_unit


def test_peaks_are_those_of_the_report(make_context, library, figures_of) -> None:
    figure = figures_of(layout(make_context()))["memory-peaks"]
    peak = max(library.get(id).report.total.memory.peak_allocated_bytes for id in library.ids)
    unit = byte_unit(peak)
    for axis, id in (("x", "dualpipe"), ("x2", "1f1b")):
        ranks = library.get(id).report.ranks
        traces = {one.name: list(one.y) for one in figure.data if one.xaxis == axis}
        bound = traces.pop("predicted bound")
        assert bound == [rank.memory.predicted_bytes / unit.bytes for rank in ranks]
        sums = [sum(column) for column in zip(*traces.values(), strict=True)]
        peaks = [rank.memory.peak_allocated_bytes / unit.bytes for rank in ranks]
        assert sums == pytest.approx(peaks, rel=0.002)


def test_the_parts_of_a_peak_add_up_to_it() -> None:
    static = {"parameter_bytes": 10, "gradient_bytes": 0, "optimizer_bytes": 30}
    assert peak_parts(MemoryFigures(peak_allocated_bytes=100, **static)) == {
        "parameters": 10,
        "optimizer state": 30,
        "activations and the rest": 60,
    }
    assert peak_parts(MemoryFigures(peak_allocated_bytes=100, activation_bytes=40)) == {
        "activations": 40,
        "the rest": 60,
    }
    assert peak_parts(MemoryFigures(peak_allocated_bytes=100)) == {"not told apart": 100}
    assert peak_parts(MemoryFigures(parameter_bytes=10)) == {}


def test_the_curve_is_of_the_worst_rank_and_marks_its_peak(make_context, library, figures_of):
    content = layout(make_context(step=3))
    run = library.get("1f1b")
    rank = run.report.total.memory.rank
    memory = run.run.memory
    own = memory[(memory["rank"] == rank) & (memory.step == 3)]
    figure = figures_of(content)["memory-curve 1f1b"]
    unit = byte_unit(library.get("dualpipe").report.total.memory.peak_allocated_bytes)
    start, end = whole_span(run, 3)
    since = own.at_ns - next(one.start_ns for one in run.report.per_step if one.step == 3)
    sizes = own.allocated_bytes[(since > start) & (since < end)].tolist()
    expected = [size / unit.bytes for size in [*sizes, sizes[-1]]]
    (line,) = [one for one in figure.data if one.name == f"rank {rank}, allocated"]
    assert list(line.y[-len(expected) :]) == pytest.approx(expected, abs=1e-6)
    assert len(line.y) <= len(expected) + 1  # and the one in force at the start
    (peak,) = [one for one in figure.data if one.name == f"peak of rank {rank}"]
    assert peak.text[0].startswith(bytes_text(own.allocated_bytes.max()))
    held = [one for one in figure.data if one.name.startswith("in flight")]
    (bound,) = [one for one in figure.data if one.name == "predicted bound" and not one.showlegend]
    assert max(max(one.y) for one in held) == bound.y[0]


def test_a_stage_can_be_picked(make_context, library, text_of) -> None:
    content = layout(make_context(options={"stage": "1"}))
    stages = {one.stage: one.ranks for one in library.get("dualpipe").report.stages}
    text = text_of(content, "memory-curve-dualpipe-panel")
    assert text.startswith("Stage 1 of dualpipe")
    assert all(f"rank {rank}" in text for rank in stages[1])


@pytest.mark.parametrize("stage", ["99", "x", "²"])
def test_a_stage_that_is_none_shows_the_worst(stage: str, make_context, text_of) -> None:
    shown = text_of(layout(make_context(options={"stage": stage})), "memory-curve-1f1b-panel")
    assert shown == text_of(layout(make_context()), "memory-curve-1f1b-panel")


def test_a_range_of_the_address_is_the_range_of_the_curve(make_context, library, figures_of):
    unit = time_unit(min(library.get(id).report.step_ns for id in library.ids))
    span = (2 * unit.nanoseconds, 5 * unit.nanoseconds)
    figure = figures_of(layout(make_context(time_range=span)))["memory-curve dualpipe"]
    assert list(figure.layout.xaxis.range) == [2, 5]
    lines = [one for one in figure.data if one.name and one.name.endswith("allocated")]
    assert all(2 <= x <= 5 for line in lines for x in line.x)


@pytest.mark.parametrize(
    ("layout_data", "text"),
    [
        ({"xaxis.range[0]": 1.5, "xaxis.range[1]": 2.5}, "1500-2500"),
        ({"xaxis2.range[0]": -3, "xaxis2.range[1]": 2}, "0-2000"),
        ({"xaxis.range[0]": 1, "xaxis.range[1]": 1}, "1000-1001"),
        (
            {"xaxis.range[0]": 1, "xaxis.range[1]": 2}
            | {"xaxis2.range[0]": 1, "xaxis2.range[1]": 2},
            "1000-2000",
        ),
        ({"xaxis.autorange": True}, ""),
        ({"xaxis2.autorange": True, "yaxis.autorange": True}, ""),
        ({"autosize": True}, None),
        ({"yaxis.range[0]": 1, "yaxis.range[1]": 2}, None),
        ({}, None),
    ],
)
def test_zooming_asks_for_a_range(layout_data: dict[str, Any], text: Any) -> None:
    assert zoomed(layout_data, 1000) == text


def test_without_memory_the_reason_is_said(make_run, event, make_context, text_of) -> None:
    content = layout(make_context(runs=[make_run([event(0, 0, 10)])]))
    assert "profile_memory=True" in text_of(content, "empty")


def test_runs_that_are_left_out_are_named_beside_the_reason(
    make_run, event, make_context, text_of
) -> None:
    memory = [{"rank": 0, "at_ns": 5, "allocated_bytes": 100, "parameter_bytes": -1}]
    without = [make_run([event(0, 0, 10)], name=f"run{number}") for number in range(3)]
    run = make_run([event(0, 0, 10)], memory=memory, name="one")
    said = text_of(layout(make_context(runs=[*without, run])))
    assert "not shown: one; choose up to 3 runs above" in said
    assert "n/a" in said


def test_ranks_without_stages_can_be_picked(make_run, event, make_context, text_of) -> None:
    memory = [
        {"rank": rank, "at_ns": 5, "allocated_bytes": 100 + rank, "parameter_bytes": -1}
        for rank in (0, 1)
    ]
    run = make_run([event(0, 0, 10), event(1, 0, 10)], memory=memory, name="one")
    worst = text_of(layout(make_context(runs=[run])), "memory-curve-one-panel")
    assert worst.startswith("Rank 1 of one")
    chosen = layout(make_context(runs=[run], options={"stage": "0"}))
    assert text_of(chosen, "memory-curve-one-panel").startswith("Rank 0 of one")
