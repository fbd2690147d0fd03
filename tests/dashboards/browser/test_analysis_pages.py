"""Overview, overlap, bubbles and memory in the browser, against the reports and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.data.bubble_regions import LENGTH, step_regions
from dpprof.dashboards.data.headline import headlines, value_text
from dpprof.reporters.blocks.units import share_text, time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page

Opener = Callable[..., "Page"]


def unit_of(served: Any) -> Any:
    reports = [served.library.get(id).report for id in served.library.ids]
    return time_unit(min(report.step_ns for report in reports))


def cell(page: Page, testid: str) -> str:
    return page.locator(f"[data-testid='{testid}']").inner_text()


def plot(page: Page, id: str) -> Any:
    """Names and y values of the traces that plotly has drawn."""
    return page.evaluate(
        "id => { const traces = document.querySelector(`[id='${id}'] .js-plotly-plot`).data;"
        " return traces.map(one => [one.name, one.x && Array.from(one.x).map(String)]); }",
        id,
    )


def test_the_overview_shows_the_headlines(pp8: Any, browser_page: Opener) -> None:
    page = browser_page(f"{pp8.url}overview")
    for own in headlines(pp8.library.get("dualpipe").report):
        assert cell(page, f"dualpipe-{own.id}-value") == value_text(own, unit_of(pp8))
    assert "−" in cell(page, "dualpipe-bubble-change")  # noqa: RUF001 - a minus sign
    names = [name for name, _ in plot(page, "states")]
    assert {"compute_only", "overlap", "bubble: warmup"} <= set(names)


def test_the_worst_bubble_of_the_overview_opens_in_the_timeline(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}overview")
    step = pp8.library.get("dualpipe").report.per_step[0]
    worst = step_regions(pp8.library, pp8.library.get("dualpipe"), step.step).iloc[0]
    page.locator("[data-testid=findings-dualpipe] ul a[href*='select=bubble']").first.click()
    settle(page)
    selected = f"select=bubble:dualpipe:{worst['rank']}:{worst.start_ns - step.start_ns}"
    assert "/timeline" in page.url
    assert selected in page.url
    facts = page.locator("#timeline-details [data-fact=rank]")
    assert facts.inner_text() == str(worst["rank"])


def test_a_kind_of_the_overlap_is_in_the_address_and_comes_back(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}overlap")
    page.locator("[data-testid=overlap-spread-panel] a >> text=micro-batch").click()
    settle(page)
    page.locator(".bar-of-choices a >> text=dispatch").click()
    settle(page)
    assert "o.kind=dispatch" in page.url
    assert "o.by=micro-batch" in page.url
    report, unit = pp8.library.get("1f1b").report, unit_of(pp8)
    kind = report.total.by_kind["dispatch"]
    spans = len(report.ranks) * len(report.per_step)
    words = cell(page, "kinds-1f1b-dispatch").split()
    assert words[1:5] == [
        *(unit.text(time / spans) for time in (kind.total_ns, kind.hidden_ns, kind.exposed_ns)),
        share_text(kind.hidden_ns / kind.total_ns),
    ]
    again = browser_page(page.url)
    assert plot(again, "overlap-ranks") == plot(page, "overlap-ranks")
    assert {name for name, _ in plot(again, "overlap-ranks")} == {
        f"dispatch {part}" for part in ("hidden", "exposed")
    }


def test_an_exposed_operation_opens_in_the_timeline(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}overlap")
    row = page.locator("[data-testid=longest-dualpipe-0]")
    kind, rank = row.locator("td").nth(0).inner_text(), row.locator("td").nth(1).inner_text()
    row.locator("a").click()
    settle(page)
    assert f"select=event:dualpipe:{rank}:" in page.url
    details = page.locator("#timeline-details").inner_text()
    assert all(part in details for part in kind.split(": "))


def test_regions_are_filtered_by_keyboard_and_all_reached(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}bubbles")
    page.locator(".bar-of-choices a >> text=dependency").focus()
    page.keyboard.press("Enter")
    settle(page)
    assert "o.cause=dependency" in page.url
    table = page.get_by_test_id("regions-dualpipe")
    shown = table.locator("tbody tr:not([hidden])")
    assert shown.count() == 25
    page.get_by_test_id("regions-dualpipe-panel").locator(
        ".table-tools button:has-text('all '), .table-tools button:has-text('more')"
    ).first.click()
    assert shown.count() > 25
    run = pp8.library.get("dualpipe")
    step = run.report.per_step[0]
    table = step_regions(pp8.library, run, step.step)
    table = table[table.state == "bubble.dependency"].reset_index()
    first, unit = table.iloc[30], unit_of(pp8)
    words = cell(page, "regions-dualpipe-30").split("\t")
    assert words[0] == f"rank {first['rank']}"
    assert words[1] == unit.text(first.start_ns - step.start_ns)
    assert words[2] == unit.text(first[LENGTH])


def test_a_stage_of_the_memory_is_shown_with_its_peak(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}memory")
    page.locator(".bar-of-choices a >> text=3").click()
    settle(page)
    assert "o.stage=3" in page.url
    stage = next(one for one in pp8.library.get("1f1b").report.stages if one.stage == 3)
    title = page.locator("[data-testid=memory-curve-1f1b-panel] h2").inner_text()
    assert title.startswith(f"Stage 3 of 1f1b: rank {stage.ranks[0]}")


def test_a_range_of_the_memory_is_zoomed_to_and_back(
    pp8: Any, browser_page: Opener, settle: Any
) -> None:
    page = browser_page(f"{pp8.url}memory")
    graph = page.locator("[data-testid=memory-curve-dualpipe-panel] .js-plotly-plot")
    graph.scroll_into_view_if_needed()
    box = graph.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4, steps=5)
    page.mouse.up()
    page.wait_for_url("**t=*")
    settle(page)
    shown = graph.evaluate("one => one.layout.xaxis.range")
    start, end = (int(one) for one in page.url.partition("t=")[2].split("&")[0].split("-"))
    unit = unit_of(pp8)
    assert shown == pytest.approx([start / unit.nanoseconds, end / unit.nanoseconds])
    whole = pp8.library.get("dualpipe").report.step_ns
    assert 0 < start < end < whole
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.4)
    page.wait_for_url(lambda url: "t=" not in url)
    settle(page)


@pytest.mark.parametrize("key", ["overview", "overlap", "bubbles", "memory"])
def test_hostile_options_show_the_default(key: str, samples: Any, browser_page: Opener) -> None:
    query = "o.kind=%3Cscript%3E&o.stage=../../etc&o.page=1e9&o.cause=x&t=9-1&ranks=a&step=-4"
    page = browser_page(f"{samples.url}{key}?{query}")
    assert page.locator(":is(#content, #problem) .panel.error").count() == 0
    assert page.locator("#notes .warning").count() > 0
    assert page.locator("#content .panel").count() > 1
