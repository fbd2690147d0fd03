"""The page of the diff: its figures are the diff's, exactly, and its choices are in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.pages.diff import diff_of
from dpprof.dashboards.parts.changed_regions import regions_of
from dpprof.reporters.diff.sentences import answer, signed, unit_of_diff

if TYPE_CHECKING:
    from playwright.sync_api import Page

WATERFALL = "#diff-waterfall .js-plotly-plot, #diff-waterfall.js-plotly-plot"


def both(served: Any) -> tuple[Any, Any]:
    return served.library.get("1f1b"), served.library.get("dualpipe")


@pytest.mark.parametrize("level", ["parts", "states", "causes"])
def test_the_waterfall_leads_from_one_step_time_to_the_other(
    pp8: Any, browser_page: Callable[..., Page], level: str
) -> None:
    page = browser_page(f"{pp8.url}diff?o.level={level}")
    diff = diff_of(pp8.library, *both(pp8))
    bars = page.locator(WATERFALL).evaluate("e => [...e.data[0].y]")
    unit = unit_of_diff(diff).nanoseconds
    base, *changes, _ = [bar * unit for bar in bars]
    assert base == pytest.approx(diff.base.step_ns)
    assert sum(changes) == pytest.approx(diff.time.change_ns / diff.steps / diff.rank_count)
    assert base + sum(changes) == pytest.approx(diff.new.step_ns)


def test_the_answer_is_that_of_the_terminal(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}diff")
    said = page.get_by_test_id("diff-answer").locator("li").all_inner_texts()
    assert said == list(answer(diff_of(samples.library, *both(samples))))


def test_the_map_is_by_rank_or_by_stage(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{pp8.url}diff")
    diff = diff_of(pp8.library, *both(pp8))
    plot = page.get_by_test_id("diff-map-panel").locator(".js-plotly-plot")
    first = plot.evaluate("e => e.data[0].z.map(line => line[0])")
    unit = unit_of_diff(diff).nanoseconds
    assert first == pytest.approx([one.time.change_ns / diff.steps / unit for one in diff.ranks])
    page.get_by_role("link", name="stages", exact=True).click()
    settle(page)
    assert "o.rows=stage" in page.url
    stages = plot.evaluate("e => e.data[0].y")
    assert stages == ["none" if one.stage is None else str(one.stage) for one in diff.stages]


def test_bubbles_that_went_are_listed_and_open_the_timeline(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{pp8.url}diff?o.presence=removed")
    base, new = both(pp8)
    changes = regions_of(pp8.library, base, new)
    unit = unit_of_diff(diff_of(pp8.library, base, new))
    removed = [one for one in changes.changes if one.presence == "removed"]
    assert removed
    cells = page.get_by_test_id("diff-regions-0").locator("td").all_inner_texts()
    assert cells[0] == "removed"
    assert cells[1] == str(removed[0].held.rank)
    assert cells[5:] == [
        unit.text(removed[0].base_ns / changes.steps),
        "none",
        signed(unit, removed[0].change_ns / changes.steps),
    ]
    page.get_by_test_id("diff-regions-0").get_by_role("link").click()
    settle(page)
    assert "/timeline?" in page.url
    assert f"select=bubble:1f1b:{removed[0].base.rank}:{removed[0].base.offset_ns}" in page.url


def test_the_baseline_can_be_changed(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}diff?baseline=dualpipe")
    bars = page.locator(WATERFALL).evaluate("e => [...e.data[0].x]")
    assert (bars[0], bars[-1]) == ("dualpipe", "1f1b")


def test_one_run_alone_says_what_is_missing(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}diff?runs=1f1b&baseline=1f1b")
    assert "needs a run and another one" in page.get_by_test_id("empty").inner_text()
    page.get_by_role("link", name="1f1b compared with dualpipe").click()
    page.locator(WATERFALL).wait_for()
    bars = page.locator(WATERFALL).evaluate("e => [...e.data[0].x]")
    assert (bars[0], bars[-1]) == ("dualpipe", "1f1b")


def test_a_table_that_is_cut_has_a_shade_and_long_names_give_way_to_figures(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}diff")
    cell = page.get_by_test_id("diff-table-0").locator("tbody td").first
    cell.evaluate("e => { e.textContent = 'name'.repeat(100) }")
    scroll = page.locator(".scroll", has=page.get_by_test_id("diff-table-0"))
    assert scroll.evaluate("e => e.scrollWidth <= e.clientWidth")
    cell.evaluate("e => { e.style.whiteSpace = 'nowrap' }")
    assert scroll.evaluate("e => e.scrollWidth > e.clientWidth")
    shades = scroll.evaluate("e => getComputedStyle(e).backgroundAttachment")
    assert shades == "local, local, scroll, scroll"
