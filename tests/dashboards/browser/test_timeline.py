"""The timeline in a browser: zoom, pan, keys, areas, and what the URL holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dpprof.dashboards.timeline.area_figures import area_csv, area_figures
from dpprof.dashboards.view.state import Area
from dpprof.reporters.blocks.units import time_unit
from tests.dashboards.browser.timeline_page import (
    GRAPH,
    address,
    at,
    drag,
    drawn_range,
    opened,
    rest,
    row_of,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_first_picture_is_the_whole_step(timeline: Page, scene: Any) -> None:
    assert drawn_range(timeline) == (0, pytest.approx(scene.whole_ns))
    readout = timeline.locator("#timeline-readout").inner_text()
    assert f"{scene.count():,} pieces in view" in readout
    assert "100.0% of the step" in readout
    assert urlsplit(timeline.url).query == ""
    meta = timeline.evaluate(f"() => document.querySelector('{GRAPH}')._fullLayout.meta")
    assert meta == {"start_ns": 0, "span_ns": scene.whole_ns, "whole_ns": scene.whole_ns}


def test_the_legend_names_what_is_painted(timeline: Page) -> None:
    names = timeline.locator("#timeline-legend [data-name]").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    assert {"F", "B", "F&B", "bubble.warmup", "bubble.cooldown", "bubble.dependency"} <= set(names)


def test_keys_zoom_and_pan(timeline: Page, scene: Any, settle: Callable[[Page], None]) -> None:
    whole = scene.whole_ns
    timeline.keyboard.press("w")
    rest(timeline, settle)
    assert drawn_range(timeline) == (pytest.approx(0.2 * whole), pytest.approx(0.8 * whole))
    start, end = map(int, address(timeline)["t"].split("-"))
    assert (start, end) == (pytest.approx(0.2 * whole, abs=2), pytest.approx(0.8 * whole, abs=2))
    timeline.keyboard.press("d")
    rest(timeline, settle)
    assert drawn_range(timeline)[0] == pytest.approx(0.35 * whole)
    timeline.keyboard.press("a")
    timeline.keyboard.press("a")
    rest(timeline, settle)
    assert drawn_range(timeline)[0] == pytest.approx(0.05 * whole)
    timeline.keyboard.press("s")
    rest(timeline, settle)
    assert drawn_range(timeline) == (0, pytest.approx(whole))
    assert "t" not in address(timeline)


def test_many_keys_at_once_are_one_zoom_down_to_nanoseconds(
    timeline: Page, settle: Callable[[Page], None]
) -> None:
    for _ in range(45):
        timeline.keyboard.press("w")
    rest(timeline, settle)
    start, end = map(int, address(timeline)["t"].split("-"))
    assert 199 <= end - start <= 201
    assert "ns, " in timeline.locator("#timeline-readout").inner_text()
    timeline.keyboard.press("0")
    rest(timeline, settle)
    assert "t" not in address(timeline)


@pytest.mark.parametrize("where", ["axis", "rows"])
def test_dragging_the_axis_or_with_control_zooms_to_the_range(
    timeline: Page, scene: Any, settle: Callable[[Page], None], where: str
) -> None:
    row = row_of(scene, "dualpipe", 2, "compute")
    left, y = at(timeline, 0.25 * scene.whole_ns, row.middle)
    right, _ = at(timeline, 0.5 * scene.whole_ns, row.middle)
    if where == "axis":
        box = timeline.locator("#timeline-axis").bounding_box()
        assert box
        y = box["y"] + box["height"] / 2
    else:
        timeline.keyboard.down("Control")
    drag(timeline, left, right, y)
    timeline.keyboard.up("Control")
    rest(timeline, settle)
    start, end = map(int, address(timeline)["t"].split("-"))
    pixel = scene.whole_ns / scene.width_px
    assert start == pytest.approx(0.25 * scene.whole_ns, abs=2 * pixel)
    assert end == pytest.approx(0.5 * scene.whole_ns, abs=2 * pixel)
    assert drawn_range(timeline) == (pytest.approx(start), pytest.approx(end))


def test_a_dragged_area_says_what_is_in_it(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    row = row_of(scene, "dualpipe", 3, "compute")
    left, y = at(timeline, 0.25 * scene.whole_ns, row.middle)
    right, _ = at(timeline, 0.5 * scene.whole_ns, row.middle)
    drag(timeline, left, right, y)
    settle(timeline)
    span, run, ranks = address(timeline)["area"].split(":")
    assert (run, ranks) == ("dualpipe", "3")
    start, end = map(int, span.split("-"))
    pixel = scene.whole_ns / scene.width_px
    assert (start, end) == (
        pytest.approx(0.25 * scene.whole_ns, abs=2 * pixel),
        pytest.approx(0.5 * scene.whole_ns, abs=2 * pixel),
    )
    area = Area(start, end, (("dualpipe", (3,)),))
    (figures,) = area_figures(pp8.library, scene, area)
    unit = time_unit(end - start)
    for state, total in figures.states.items():
        shown = timeline.get_by_test_id(f"area-states-dualpipe-{state}").locator("td").nth(1)
        assert shown.inner_text() == f"{total / unit.nanoseconds:,.2f}"
    with timeline.expect_download() as download:
        timeline.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text() == area_csv([figures])
    timeline.keyboard.press("f")
    rest(timeline, settle)
    assert drawn_range(timeline) == (pytest.approx(start), pytest.approx(end))
    timeline.keyboard.press("Escape")
    settle(timeline)
    assert "area" not in address(timeline)


def test_the_axis_stays_while_the_rows_scroll(timeline: Page, scene: Any) -> None:
    at(timeline, 0, scene.rows.rows[-1].middle)
    head, top = (
        timeline.evaluate(f"() => document.querySelector('{one}').getBoundingClientRect().toJSON()")
        for one in ("#timeline-head", ".top")
    )
    assert head["top"] == pytest.approx(top["bottom"], abs=1)
    ticks = timeline.locator("#timeline-axis .tick").all_inner_texts()
    assert ticks[0] == "0"
    assert len(ticks) >= 5


def test_the_wheel_zooms_at_the_pointer(
    timeline: Page, scene: Any, settle: Callable[[Page], None]
) -> None:
    x, y = at(timeline, 0.3 * scene.whole_ns, row_of(scene, "dualpipe", 1, "compute").middle)
    timeline.mouse.move(x, y)
    timeline.keyboard.down("Control")
    timeline.mouse.wheel(0, -100)
    timeline.keyboard.up("Control")
    rest(timeline, settle)
    start, end = drawn_range(timeline)
    assert end - start < 0.7 * scene.whole_ns
    place = (0.3 * scene.whole_ns - start) / (end - start)
    assert place == pytest.approx(0.3, abs=0.01)


def test_colours_lanes_and_ranks_are_picked(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = opened(
        browser_page, f"{pp8.url}timeline?runs=dualpipe&color=kind&o.lanes=streams&ranks=1,3"
    )
    names = page.locator("#timeline-legend [data-name]").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    assert {"compute", "dispatch", "combine"} <= set(names)
    ticks = page.evaluate(f"() => document.querySelector('{GRAPH}').layout.yaxis.ticktext")
    assert any("rank 1" in tick for tick in ticks)
    assert not any("rank 0" in tick for tick in ticks)
    box = page.get_by_label("Ranks")
    assert box.input_value() == "1,3"
    box.fill("0-2")
    box.press("Enter")
    settle(page)
    assert address(page)["ranks"] == "0-2"


def test_a_run_above_its_ideal(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = opened(browser_page, f"{pp8.url}timeline?runs=dualpipe")
    page.get_by_role("link", name="above ideal").click()
    settle(page)
    assert address(page)["runs"] == "dualpipe,dualpipe~ideal"
    titles = page.evaluate(
        f"() => document.querySelector('{GRAPH}').layout.annotations.map(a => a.text)"
    )
    ideal = pp8.library.get("dualpipe").report.ideal
    length = time_unit(ideal.window_ns // ideal.steps).full(ideal.window_ns // ideal.steps)
    assert titles[1] == f"<b>ideal of dualpipe</b>  SIMULATED, {length}"


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_picture_is_saved(timeline: Page, form: str, tmp_path: Any) -> None:
    with timeline.expect_download() as download:
        timeline.locator(f"[data-save={form}]").click()
    assert download.value.suggested_filename == f"dpprof-timeline.{form}"
    path = tmp_path / form
    download.value.save_as(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if form == "png" else b"<svg")
    assert len(content) > 20_000


def test_on_a_phone_the_options_are_folded_away(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}timeline", size=(390, 844))
    tools, ranks = page.locator("#timeline-tools"), page.get_by_label("Ranks")
    assert tools.evaluate("e => e.offsetHeight") < 100
    assert not ranks.is_visible()
    page.get_by_role("button", name="options").click()
    assert ranks.is_visible()
    page.get_by_role("button", name="options").click()
    assert not ranks.is_visible()
