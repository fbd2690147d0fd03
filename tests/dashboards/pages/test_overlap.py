"""The overlap page says what the reports and the exposure table say."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dpprof.dashboards.data.claimed import claimed, unclaimed_kinds
from dpprof.dashboards.data.exposure_tables import BY, by_operation
from dpprof.dashboards.data.operations import exposure_of
from dpprof.dashboards.figures.overlap import RunOperations, RunReport, operation_bars, rank_bars
from dpprof.dashboards.pages.overlap import layout
from dpprof.dashboards.view.theme import LIGHT
from dpprof.reporters.blocks.units import share_text, time_unit

KINDS = ("p2p", "dispatch", "combine")


def units(library: Any) -> Any:
    return time_unit(min(library.get(id).report.step_ns for id in library.ids))


def test_bars_of_ranks_are_the_figures_of_the_report(make_context, library, figures_of) -> None:
    figure = figures_of(layout(make_context()))["overlap-ranks"]
    unit = units(library)
    for number, id in enumerate(("dualpipe", "1f1b")):
        report = library.get(id).report
        axis = "x" if number == 0 else "x2"
        below = "x3" if number == 0 else "x4"
        drawn = {
            (trace.xaxis, trace.name): list(trace.y)
            for trace in figure.data
            if trace.xaxis in (axis, below)
        }
        expected = {
            (below if part == "wait" else axis, f"{kind} {word}"): [
                getattr(rank.by_kind[kind], f"{part}_ns") / len(report.per_step) / unit.nanoseconds
                for rank in report.ranks
            ]
            for kind in KINDS
            for part, word in (("hidden", "hidden"), ("exposed", "exposed"), ("wait", "waiting"))
            if any(
                getattr(library.get(one).report.total.by_kind[kind], f"{part}_ns")
                for one in library.ids
            )
        }
        assert drawn == expected


def test_hidden_is_as_pale_in_the_legend_as_in_the_bars(make_context, library, figures_of) -> None:
    bars = figures_of(layout(make_context()))["overlap-ranks"].data
    colors = {bar.name: bar.marker.color for bar in bars}
    assert colors["combine hidden"] != colors["combine exposed"]
    assert all(bar.marker.opacity is None for bar in bars)


def test_the_table_of_kinds_is_the_mean_of_the_ranks(make_context, library, text_of) -> None:
    content, unit = layout(make_context()), units(library)
    report = library.get("1f1b").report
    spans = len(report.ranks) * len(report.per_step)
    for kind, figures in report.total.by_kind.items():
        if not figures.total_ns and not figures.wait_ns:
            continue
        share = figures.hidden_ns / figures.total_ns if figures.total_ns else None
        worst = max(report.ranks, key=lambda rank, kind=kind: rank.by_kind[kind].exposed_ns)
        expected = [
            kind,
            *[
                unit.text(time / spans)
                for time in (figures.total_ns, figures.hidden_ns, figures.exposed_ns)
            ],
            share_text(share),
            unit.text(figures.wait_ns / spans),
            "n/a",  # what blocks
            f"rank {worst.rank}:",
            unit.text(worst.by_kind[kind].exposed_ns / len(report.per_step)),
        ]
        assert text_of(content, f"kinds-1f1b-{kind}") == " ".join(expected)


def test_a_kind_can_be_picked(make_context, library, figures_of) -> None:
    figures = figures_of(layout(make_context(options={"kind": "dispatch"})))
    names = {trace.legendgroup for trace in figures["overlap-ranks"].data}
    assert names == {"dispatch hidden", "dispatch exposed"}  # nothing waits in an emulated one
    bars = figures["overlap-operations"].data
    assert all(label.startswith("dispatch") for trace in bars for label in trace.y)
    report = library.get("dualpipe").report
    spans = len(report.ranks) * len(report.per_step)
    exposed, hidden = (sum(trace.x) for trace in bars[:2])
    kind, unit = report.total.by_kind["dispatch"], units(library)
    assert exposed == pytest.approx(kind.exposed_ns / spans / unit.nanoseconds)
    assert hidden == pytest.approx(kind.hidden_ns / spans / unit.nanoseconds)


def test_the_heat_map_adds_up_to_the_exposed_time(make_context, library, figures_of) -> None:
    options = {"kind": "combine", "measure": "time"}
    figure = figures_of(layout(make_context(options=options)))["overlap-grid"]
    unit = units(library)
    for trace, id in zip(figure.data, ("dualpipe", "1f1b"), strict=True):
        report = library.get(id).report
        total = sum(value for row in trace.z for value in row if value is not None)
        exposed = report.total.by_kind["combine"].exposed_ns / len(report.per_step)
        assert total == pytest.approx(exposed / unit.nanoseconds, rel=1e-3)
    shares = figures_of(layout(make_context()))["overlap-grid"].data[0].z
    assert all(0 <= value <= 100 for row in shares for value in row if value is not None)


@pytest.mark.parametrize("by", BY)
def test_boxes_are_of_the_hidden_share(by: str, make_context, figures_of) -> None:
    first, second = figures_of(layout(make_context(options={"by": by})))["overlap-spread"].data
    assert (first.name, second.name) == ("dualpipe", "1f1b")
    for trace in (first, second):
        boxes = zip(
            trace.lowerfence, trace.q1, trace.median, trace.q3, trace.upperfence, strict=True
        )
        assert all(list(box) == sorted(box) and box[0] >= 0 and box[-1] <= 100 for box in boxes)


def test_the_longest_lead_to_their_place(make_context, library, text_of, links_of) -> None:
    run = library.get("dualpipe")
    content = layout(make_context(runs=None, options={}))
    worst = exposure_of(library, run).longest.iloc[0]
    origin = next(one.start_ns for one in run.report.per_step if one.step == worst.step)
    row = text_of(content, "longest-dualpipe-0")
    assert row.startswith(f"{worst.kind} {worst['rank']} {worst.step}")
    wanted = f"select=event:dualpipe:{worst['rank']}:{worst.start_ns - origin}:{worst.number}"
    links = [link for link in links_of(content) if wanted in link]
    assert len(links) == 1
    assert f"step={worst.step}" in links[0]


def test_what_is_not_split_or_labelled_says_so(
    make_run, event, make_context, text_of, figures_of
) -> None:
    run = make_run([event(0, 0, 10), event(0, 5, 30, "all_reduce", name="ring")], name="one")
    content = layout(make_context(runs=[run]))
    said = "all_reduce 25.00 5.00 20.00 20.0% n/a n/a rank 0: 20.00"
    assert text_of(content, "kinds-one-all_reduce") == said
    assert "label the training loop" in text_of(content, "overlap-grid-panel")
    names = [trace.name for trace in figures_of(content)["overlap-ranks"].data]
    assert names == ["all_reduce hidden", "all_reduce exposed"]
    assert "waiting n/a for all_reduce" in text_of(content, "overlap-ranks-panel")
    assert list(figures_of(content)["overlap-spread"].data[0].x) == ["0"]  # by rank


def test_kernels_that_only_send_have_no_hidden_share(
    make_run, event, make_context, text_of
) -> None:
    name = "void deep_ep::internode_ll::dispatch<true>(int*)"
    run = make_run([event(0, 0, 10), event(0, 5, 30, "dispatch", name=name)], name="one")
    content = layout(make_context(runs=[run]))
    assert text_of(content, "kinds-one-dispatch").split()[4] == "n/a"
    assert "hidden share n/a: dispatch: split" in text_of(content, "overlap-ranks-panel")


def test_no_communication_is_an_empty_page(make_run, event, make_context, text_of) -> None:
    content = layout(make_context(runs=[make_run([event(0, 0, 10)])]))
    assert text_of(content, "empty") == "No rank communicates in the used steps."


def test_a_kind_that_the_runs_do_not_have_shows_all(make_context, figures_of) -> None:
    chosen = figures_of(layout(make_context(options={"kind": "broadcast"})))
    assert len(chosen["overlap-ranks"].data) == len(
        figures_of(layout(make_context()))["overlap-ranks"].data
    )


def test_what_is_not_known_is_drawn_as_not_known(library) -> None:
    report = library.get("dualpipe").report
    kinds = report.total.by_kind
    unknown = replace(kinds["dispatch"], hidden_reason="split into parts")
    total = replace(report.total, by_kind=kinds | {"dispatch": unknown}, hidden_reason="in part")
    claimed_report = replace(report, total=total)
    assert unclaimed_kinds(claimed_report) == {"dispatch"}
    assert unclaimed_kinds(report) == frozenset()

    names = {
        trace.name: trace
        for trace in rank_bars([RunReport("a", claimed_report)], LIGHT, units(library)).data
    }
    assert not {"dispatch hidden", "dispatch exposed"} & set(names)
    assert {"combine hidden", "combine exposed"} <= set(names)
    steps, unit = len(report.per_step), units(library)
    assert list(names["dispatch transfer, hidden n/a"].y) == [
        rank.by_kind["dispatch"].total_ns / steps / unit.nanoseconds for rank in report.ranks
    ]

    table = by_operation(exposure_of(library, library.get("dualpipe")).table)
    bars = operation_bars(
        [RunOperations("a", table, 1, unclaimed_kinds(claimed_report))], LIGHT, unit
    )
    drawn = {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in bars.data}
    dispatch = [label for label in drawn["hidden"] if label.startswith("dispatch")]
    assert dispatch
    for label in dispatch:
        assert drawn["hidden"][label] == drawn["exposed"][label] == 0
        assert drawn["transfer, hidden n/a"][label] > 0


def test_distributions_leave_out_what_is_not_claimed(library) -> None:
    run = library.get("dualpipe")
    unknown = {
        kind: replace(one, hidden_reason="split") for kind, one in run.report.total.by_kind.items()
    }
    total = replace(run.report.total, by_kind=unknown)
    report = replace(run.report, total=total)
    assert claimed(exposure_of(library, run).table, report).empty
    assert claimed(exposure_of(library, run).table, run.report) is exposure_of(library, run).table
