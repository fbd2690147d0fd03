"""The page of the critical path: its figures are the report's, a zoom goes to the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.reporters.blocks.units import share_text, time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_kinds_are_those_of_the_report(pp8: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{pp8.url}critical_path")
    reports = [pp8.library.get(id).report for id in pp8.library.ids]
    unit = time_unit(max(report.step_ns for report in reports))
    for kind in reports[0].critical_path.by_kind_ns:
        cells = page.get_by_test_id(f"path-kinds-{kind}").locator("td").all_inner_texts()
        expected = [kind]
        for report in reports:
            time = report.critical_path.by_kind_ns.get(kind, 0)
            expected += [
                unit.text(time / len(report.per_step)),
                share_text(time / report.window_ns),
            ]
        assert cells == expected


def test_the_bars_cover_the_step(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}critical_path?step=2")
    run = samples.library.get("dualpipe")
    window = next(one.window_ns for one in run.report.per_step if one.step == 2)
    total = (
        page.get_by_test_id("path-dualpipe")
        .locator(".js-plotly-plot")
        .evaluate(
            "e => e.data.filter(t => t.type == 'bar').flatMap(t => t.x).reduce((a, b) => a + b, 0)"
        )
    )
    assert round(total * time_unit(window).nanoseconds) == window


def test_a_zoom_is_in_the_address_and_comes_back(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}critical_path")
    plot = page.get_by_test_id("path-dualpipe").locator(".js-plotly-plot .nsewdrag").first
    box = plot.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.25 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=4)
    page.mouse.up()
    page.wait_for_url("**t=*")
    settle(page)
    window = samples.library.get("dualpipe").report.per_step[0].window_ns
    first, last = (int(edge) for edge in page.url.split("t=")[1].split("&")[0].split("-"))
    assert abs(first - 0.25 * window) < 0.01 * window
    assert abs(last - 0.5 * window) < 0.01 * window
    again = browser_page(page.url)
    shown = (
        again.get_by_test_id("path-1f1b")
        .locator(".js-plotly-plot")
        .evaluate("e => [...e.layout.xaxis.range, e.layout.meta.nanoseconds]")
    )
    assert [round(edge * shown[2]) for edge in shown[:2]] == [first, last]


def test_a_piece_opens_the_timeline(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}critical_path")
    link = page.get_by_test_id("path-longest-dualpipe-0").get_by_role("link")
    href = link.get_attribute("href")
    assert href is not None
    assert href.startswith("/timeline?")
    assert "select=" in href
