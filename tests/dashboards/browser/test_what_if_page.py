"""The page of what-if: what is picked is in the address, and the figures are the simulator's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.what_if.request import WhatIf
from dpprof.dashboards.what_if.simulated import simulated
from dpprof.reporters.blocks.units import time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page


def step_text(served: Any, asked: WhatIf) -> str:
    run = simulated(served.library, asked)
    measured = served.library.get(asked.costs)
    unit = time_unit(min(run.report.step_ns, measured.report.step_ns))
    return unit.full(run.report.step_ns)


def test_a_schedule_is_picked_and_simulated_with_the_runs_costs(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}what_if")
    value = page.get_by_test_id("what-if-step-time-value")
    own = WhatIf("dualpipe", 4, 8, "dualpipe", "eager", None)
    assert value.inner_text() == step_text(samples, own)
    page.locator("button.dash-dropdown[class*='o.schedule']").click()
    page.get_by_role("option", name="1f1b", exact=True).click()
    page.wait_for_url("**o.schedule=1f1b*")
    settle(page)
    asked = WhatIf("1f1b", 4, 8, "dualpipe", "eager", None)
    assert value.inner_text() == step_text(samples, asked)
    assert page.get_by_text(asked.command(samples.library)).count() == 1


def test_sizes_are_typed_and_come_back_from_the_address(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}what_if?o.schedule=zb1p&o.costs=1f1b")
    box = page.get_by_label("Micro-batches")
    box.fill("16")
    box.press("Enter")
    page.wait_for_url("**o.micro_batches=16*")
    settle(page)
    asked = WhatIf("zb1p", 4, 16, "1f1b", "eager", None)
    assert page.get_by_test_id("what-if-step-time-value").inner_text() == step_text(samples, asked)
    again = browser_page(page.url)
    assert again.get_by_test_id("what-if-step-time-value").inner_text() == step_text(samples, asked)
    assert again.get_by_label("Micro-batches").input_value() == "16"


def test_both_timelines_are_drawn_and_zoom_together(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{pp8.url}what_if?o.schedule=1f1b")
    plot = page.get_by_test_id("what-if-timeline-panel").locator(".js-plotly-plot")
    titles = plot.evaluate("e => e.layout.annotations.map(a => a.text)")
    asked = WhatIf("1f1b", 8, 16, "dualpipe", "eager", None)
    assert any(asked.id in title and "SIMULATED" in title for title in titles)
    assert any("dualpipe" in title and "EMULATED" in title for title in titles)
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    assert box
    middle = max(box["y"], 80) + 40
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], middle, steps=4)
    page.mouse.up()
    page.wait_for_url("**t=*")
    settle(page)
    first, last = (int(edge) for edge in page.url.split("t=")[1].split("&")[0].split("-"))
    shown = plot.evaluate("e => e.layout.xaxis.range")
    assert [round(edge * 1e6) for edge in shown] == [first, last]


def test_what_cannot_be_simulated_is_said_and_can_be_corrected(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}what_if?o.schedule=dualpipe&o.pp=3")
    assert "dualpipe with 3 ranks" in page.locator(".panel.error:visible").inner_text()
    box = page.get_by_label("PP", exact=True)
    box.fill("4")
    box.press("Enter")
    page.wait_for_url("**o.pp=4*")
    settle(page)
    assert page.locator(".panel.error:visible").count() == 0
    assert page.get_by_test_id("what-if-step-time-value").count() == 1
