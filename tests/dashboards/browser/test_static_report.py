"""The report in one file opens from disk: everything drawn, nothing fetched, no error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.app.static_report import write_report
from tests.dashboards.browser.test_pages import serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_file_draws_itself_offline(
    browser: Browser, samples: Any, tmp_path: Path, theme: str
) -> None:
    path = tmp_path / "report.html"
    write_report(samples.library, path, theme=theme)
    context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True)
    page = context.new_page()
    problems: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]")
    assert page.locator(".plot").count() == page.locator(".plot.js-plotly-plot").count() > 10
    assert page.locator("[data-testid=dualpipe-step-time-value]").inner_text().endswith("ms")
    page.locator("nav >> text=Memory").click()
    assert page.url.endswith("#memory")
    with page.expect_download() as download:
        page.locator("#memory .modebar-btn").first.click(force=True)
    assert re.fullmatch(r"dpprof-plot-\d+\.svg", download.value.suggested_filename)
    assert "EMULATED" in Path(download.value.path()).read_text()
    if theme == "light":
        assert serious(page) == []
        _zooms_and_tells(page)
        _prints_whole(page)
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 1366
    context.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def _zooms_and_tells(page: Page) -> None:
    """The timeline, without a server: a drag zooms, slots then say their names, and any is told."""
    plot = page.locator("#timeline .js-plotly-plot")
    plot.scroll_into_view_if_needed()
    area = plot.locator(".nsewdrag").first.bounding_box()
    assert area is not None
    names = "e => Array.from(e.querySelectorAll('.bartext')).filter(t => t.textContent).length"
    left, width = area["x"] + area["width"] / 4, area["width"] / 8
    page.mouse.move(left, area["y"] + 120)
    page.mouse.down()
    page.mouse.move(left + width, area["y"] + 121, steps=4)
    page.mouse.up()
    limits = "e => e._fullLayout.xaxis.range.map(Number)"
    whole = plot.evaluate("e => e._fullLayout.meta.whole_ns / 1e6")
    page.wait_for_function(
        "([e, most]) => e._fullLayout.xaxis.range[1] - e._fullLayout.xaxis.range[0] < most",
        arg=[plot.element_handle(), whole / 4],
    )
    assert plot.evaluate(names) > 0
    start, end = plot.evaluate(limits)
    slots = plot.evaluate("e => ({base: e.data[0].base, y: e.data[0].y, x: e.data[0].x})")
    place = next(
        (base + length / 2, y)
        for base, length, y in zip(slots["base"], slots["x"], slots["y"], strict=True)
        if start < base + length / 2 < end
    )
    at = plot.evaluate(
        "(e, [x, y]) => [e._fullLayout.xaxis.d2p(x), e._fullLayout.yaxis.d2p(y)]", list(place)
    )
    page.mouse.move(area["x"] + at[0], area["y"] + at[1])
    hover = page.locator("#timeline .hoverlayer .hovertext")
    assert "rank" in (hover.first.text_content() or "")


def _prints_whole(page: Page) -> None:
    """On paper no figure is wider than the sheet, and no table is cut."""
    page.emulate_media(media="print")
    widths = "() => Array.from(document.querySelectorAll('.main-svg'), e => e.clientWidth)"
    page.wait_for_function(f"() => Math.max(...({widths})()) <= 700")
    cut = """() => Array.from(document.querySelectorAll('.scroll'))
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"""
    assert page.evaluate(cut) == []
