"""The page of steps shows the figures of the report, and its metric is in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.reporters.blocks.units import time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_step_times_are_those_of_the_report(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}steps")
    for id in samples.library.ids:
        report = samples.library.get(id).report
        unit = time_unit(report.step_ns)
        shown = page.get_by_test_id(f"steps-{id}-mean-value").inner_text()
        assert shown == unit.full(report.window_ns / len(report.per_step))
        for step in report.per_step:
            row = page.get_by_test_id(f"steps-table-{id}-{step.step}").locator("td")
            texts = row.all_inner_texts()
            assert texts[:2] == [str(step.step), unit.text(step.window_ns)]
            bubble = sum(one.bubble_ns for one in step.ranks) / len(step.ranks)
            assert texts[5] == unit.text(bubble)


def test_the_metric_is_chosen_by_a_link_and_kept_in_the_address(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}steps")
    page.get_by_role("link", name="bubble", exact=True).click()
    settle(page)
    assert "o.metric=bubble" in page.url
    heat = page.evaluate(
        "() => document.querySelector('#steps-matrix-dualpipe .js-plotly-plot').data[0].z"
    )
    report = samples.library.get("dualpipe").report
    unit = time_unit(max(one.bubble_ns for step in report.per_step for one in step.ranks))
    expected = [
        [step.ranks[row].bubble_ns / unit.nanoseconds for step in report.per_step]
        for row in range(len(report.ranks))
    ]
    assert heat == expected
    again = browser_page(page.url)
    assert again.get_by_test_id("steps-ranks").inner_text().count("idles") == 1


def test_a_step_opens_its_timeline(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}steps")
    step = samples.library.get("dualpipe").report.per_step[-1].step
    link = page.get_by_test_id(f"steps-table-dualpipe-{step}").get_by_role("link")
    assert link.get_attribute("href").startswith("/timeline?runs=dualpipe")
    assert f"step={step}" in link.get_attribute("href")
