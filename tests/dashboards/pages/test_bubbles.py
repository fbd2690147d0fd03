"""The bubbles page says what the report and the table of regions say."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.dashboards.data.bubble_regions import LENGTH, step_regions
from dpprof.dashboards.pages.bubbles import layout
from dpprof.reporters.blocks.units import share_text, time_unit
from dpprof.tables.kinds import BUBBLE_STATES


def unit_of(library: Any) -> Any:
    return time_unit(min(library.get(id).report.step_ns for id in library.ids))


def test_bars_and_marks_are_those_of_the_report(make_context, library, figures_of) -> None:
    figure = figures_of(layout(make_context()))["bubbles-ranks"]
    unit = unit_of(library)
    for axis, id in (("x", "dualpipe"), ("x2", "1f1b")):
        report = library.get(id).report
        scale = len(report.per_step) * unit.nanoseconds
        traces = {one.name: list(one.y) for one in figure.data if one.xaxis == axis}
        ideal = {one.rank: one.bubble_ns for one in report.ideal.ranks}
        assert traces.pop("ideal") == [ideal[rank.rank] / scale for rank in report.ranks]
        for name, values in traces.items():
            state = f"bubble.{name}"
            assert values == [rank.states_ns[state] / scale for rank in report.ranks]
        together = [sum(column) for column in zip(*traces.values(), strict=True)]
        assert together == pytest.approx([rank.bubble_ns / scale for rank in report.ranks])


def test_the_table_of_causes_adds_up(make_context, library, text_of) -> None:
    content, unit = layout(make_context()), unit_of(library)
    total = library.get("dualpipe").report.total
    report = library.get("dualpipe").report
    steps, spans = len(report.per_step), len(report.per_step) * len(report.ranks)
    for state in BUBBLE_STATES:
        time = total.states_ns[state]
        if time:
            worst = max(report.ranks, key=lambda rank, state=state: rank.states_ns[state])
            assert text_of(content, f"causes-dualpipe-{state[7:]}") == " ".join(
                [
                    state[7:],
                    unit.text(time / spans),
                    share_text(time / total.window_ns),
                    share_text(time / total.bubble_ns),
                    f"rank {worst.rank}: {unit.text(worst.states_ns[state] / steps)}",
                ]
            )
    whole = f"all {unit.text(total.bubble_ns / spans)} {share_text(total.bubble_share)}"
    assert text_of(content, "causes-dualpipe-all").strip() == whole


def test_the_icicle_and_the_map_are_of_the_step(make_context, library, figures_of) -> None:
    figures = figures_of(layout(make_context(step=3)))
    run = library.get("1f1b")
    step = next(one for one in run.report.per_step if one.step == 3)
    idle = sum(step.states_ns[state] for state in BUBBLE_STATES)
    (trace,) = figures["bubbles-causes-1f1b"].data
    assert trace.values[0] == idle
    second = figures["bubbles-when"].data[1]
    bin_ns = step.window_ns / len(second.z[0])
    shown = sum(share / 100 * bin_ns for row in second.z for share in row)
    assert shown == pytest.approx(idle, rel=0.01)


def test_the_worst_regions_lead_to_their_place(make_context, library, text_of, links_of) -> None:
    content = layout(make_context(step=3))
    table, unit = step_regions(library, library.get("dualpipe"), 3), unit_of(library)
    step = next(one for one in library.get("dualpipe").report.per_step if one.step == 3)
    worst = table.iloc[0]
    offset = worst.start_ns - step.start_ns
    row = text_of(content, "regions-dualpipe-0")
    assert row.startswith(f"rank {worst['rank']} {unit.text(offset)} {unit.text(worst[LENGTH])}")
    wanted = f"select=bubble:dualpipe:{worst['rank']}:{offset}:"
    assert sum(wanted in link and "step=3" in link for link in links_of(content)) == 1


def test_regions_can_be_filtered_and_leafed_through(make_context, library, text_of) -> None:
    table = step_regions(library, library.get("1f1b"), 2)
    drained = table[table.state == "bubble.cooldown"]
    content = layout(make_context(step=2, options={"cause": "cooldown"}))
    panel = text_of(content, "regions-1f1b-panel")
    assert f"{len(drained)} region" in panel
    assert panel.count("nothing left to compute") == min(len(drained), 15)
    second = text_of(layout(make_context(step=2, options={"page": "2"})), "regions-1f1b-15")
    assert second.startswith(f"rank {table.iloc[15]['rank']} ")


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "²"])
def test_a_page_that_is_none_shows_one_that_is(number: str, make_context, text_of) -> None:
    content = layout(make_context(options={"page": number}))
    assert "page 1 of" in text_of(content, "regions-1f1b-panel")


def test_who_waits_is_shown_for_the_ranks_chosen(make_context, figures_of) -> None:
    figures = figures_of(layout(make_context(ranks=(0, 1))))
    assert list(figures["bubbles-waited"].data[0].y) == ["0", "1"]
    assert list(figures["bubbles-when"].data[0].y) == ["0", "1"]


def test_no_bubble_is_an_empty_page(make_run, event, make_context, text_of) -> None:
    content = layout(make_context(runs=[make_run([event(0, 0, 10)])]))
    assert text_of(content, "empty") == "No rank is ever idle in the used steps."


def test_a_run_without_schedule_or_causes_is_shown(make_run, event, make_context, text_of) -> None:
    run = make_run([event(0, 0, 10), event(0, 500, 600)], name="one")
    content = layout(make_context(runs=[run]))
    assert "no ideal: the schedule is not known" in text_of(content, "bubbles-ranks-panel")
    assert "no cause found" in text_of(content, "regions-one-0")
