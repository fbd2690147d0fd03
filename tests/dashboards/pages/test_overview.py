"""The overview says what the reports say."""

from __future__ import annotations

from dpprof.analysis.report.side_by_side import compare
from dpprof.dashboards.data.headline import change_text, headlines, value_text
from dpprof.dashboards.pages.overview import layout
from dpprof.findings.find import find_findings
from dpprof.reporters.blocks.units import share_text, time_unit


def test_tiles_show_the_report_and_its_distance_from_the_baseline(
    make_context, library, text_of
) -> None:
    content = layout(make_context())
    new, base = (library.get(name).report for name in ("dualpipe", "1f1b"))
    unit = time_unit(min(new.step_ns, base.step_ns))
    for own, other in zip(headlines(new), headlines(base), strict=True):
        assert text_of(content, f"dualpipe-{own.id}-value") == value_text(own, unit)
        assert text_of(content, f"dualpipe-{own.id}-change") == change_text(own, other, unit)
    assert "EMULATED" in text_of(content, "headline-dualpipe")
    assert "baseline" in text_of(content, "headline-dualpipe")


def test_the_waterfall_ends_at_the_two_step_times(
    make_context, library, figures_of, links_of
) -> None:
    content = layout(make_context())
    figures = figures_of(content)
    (trace,) = figures["difference-dualpipe"].data
    assert "/diff" in links_of(content)
    new, base = (library.get(name).report for name in ("dualpipe", "1f1b"))
    unit = time_unit(min(new.step_ns, base.step_ns))
    assert trace.text[0] == unit.text(base.step_ns)
    assert trace.text[-1] == unit.text(new.window_ns / len(new.per_step))


def test_bars_show_every_run_and_its_ideal(make_context, library, figures_of) -> None:
    figure = figures_of(layout(make_context()))["states"]
    assert figure.data[0].y == ("dualpipe", "dualpipe, ideal", "1f1b", "1f1b, ideal")
    total = library.get("dualpipe").report.total
    shares = {one.name: one.customdata[0] for one in figure.data}
    assert shares["compute_only"] == share_text(total.states_ns["compute_only"] / total.window_ns)
    report = library.get("1f1b").report
    ideal = sum(one.x[3] for one in figure.data)
    unit = time_unit(library.get("dualpipe").report.step_ns)
    assert unit.text(ideal * unit.nanoseconds) == unit.text(
        report.ideal.window_ns / report.ideal.steps
    )


def test_the_side_by_side_tables_have_every_metric(make_context, library, text_of) -> None:
    text = text_of(layout(make_context()), "compared")
    for metric in compare([library.get(name).report for name in library.ids]).metrics:
        assert metric.name in text


def test_the_longest_bubbles_lead_to_the_timeline(make_context, library, links_of) -> None:
    content = layout(make_context(step=3))
    regions = [one for one in library.get("dualpipe").report.regions if one.step == 3]
    longest = sorted(regions, key=lambda one: (-one.length_ns, one.start_ns))[:3]
    links = [link for link in links_of(content) if link.startswith("/timeline")][-3:]
    for link, region in zip(links, longest, strict=True):
        assert "step=3" in link
        assert f"select=bubble:dualpipe:{region.rank}:{region.offset_ns}:" in link


def test_the_findings_of_the_report_come_first_each_with_its_place(
    make_context, library, text_of, links_of
) -> None:
    content = layout(make_context())
    run = library.get("dualpipe")
    found = find_findings(run.run, run.report).findings
    assert found
    text = text_of(content[0])
    for one in found:
        assert one.text[1:] in text
        assert one.knob in text
    links = links_of(content[0])
    assert len(links) >= len(found)
    for one, link in zip(found, links, strict=False):
        if one.what.startswith("exposed"):
            assert link.startswith(f"/overlap?o.kind={one.what.removeprefix('exposed ')}")


def test_a_run_alone_is_compared_with_nothing(make_run, event, make_context, figures_of, text_of):
    run = make_run([event(0, 0, 1000), event(0, 500, 2000, "dispatch", ready_ns=0)], name="one")
    content = layout(make_context(runs=[run]))
    assert list(figures_of(content)) == ["states"]
    text = text_of(content)
    assert "Side by side" not in text
    assert "baseline" not in text
    assert text_of(content, "one-hidden-value") == "33.3%"
    assert text_of(content, "one-memory-value") == "n/a"
    assert text_of(content, "one-memory-change") == "no memory events in the traces"


def test_a_run_without_any_activity_says_so(make_run, make_context, text_of) -> None:
    content = layout(make_context(runs=[make_run([], name="empty")]))
    assert text_of(content, "empty-step-time-value") == "n/a"
    assert "cannot be computed" in text_of(content)


def test_runs_that_are_not_alike_are_said_to_be(make_run, event, make_context, text_of) -> None:
    runs = [
        make_run([event(0, 0, 10)], name="new"),
        make_run([event(0, 0, 10), event(1, 0, 10)], name="base", source="simulated"),
    ]
    text = text_of(layout(make_context(runs=runs, baseline="base")), "headline-new")
    assert "the runs come from captured and simulated" in text
    assert "the runs have ranks: 1 and 2" in text
