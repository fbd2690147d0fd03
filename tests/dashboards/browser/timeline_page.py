"""A timeline in a browser: what is drawn, and where things are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page


GRAPH = "#timeline .js-plotly-plot"


NS_PER_MS = 1e6


def opened(browser_page: Callable[..., Page], url: str, **options: Any) -> Page:
    """A timeline whose first picture is drawn."""
    page = browser_page(url, **options)
    page.wait_for_function(f"() => document.querySelector('{GRAPH}')?._fullLayout?.meta?.whole_ns")
    return page


def drawn_range(page: Page) -> tuple[float, float]:
    """Nanoseconds of the step that the x axis shows."""
    limits = page.evaluate(f"() => document.querySelector('{GRAPH}')._fullLayout.xaxis.range")
    return tuple(float(limit) * NS_PER_MS for limit in limits)


def address(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


DRAWN = """() => {
    const layout = document.querySelector('#timeline .js-plotly-plot')._fullLayout;
    const meta = layout.meta, shown = layout.xaxis.range.map(ms => ms * 1e6);
    const slack = (shown[1] - shown[0]) / 1000 + 2;
    return Math.abs(meta.start_ns - shown[0]) < slack
        && Math.abs(meta.start_ns + meta.span_ns - shown[1]) < slack;
}"""


PLACE = """([x, y]) => {
    const gd = document.querySelector('#timeline .js-plotly-plot'), layout = gd._fullLayout;
    const place = () => {
        const box = gd.getBoundingClientRect();
        return [box.left + layout._size.l + layout.xaxis.d2p(x),
                box.top + layout._size.t + layout.yaxis.d2p(y)];
    };
    window.scrollBy(0, place()[1] - 300);
    return place();
}"""


def rest(page: Page, settle: Callable[[Page], None]) -> None:
    """Waits until the server has drawn the range that is shown."""
    page.wait_for_function(DRAWN)
    settle(page)


def at(page: Page, at_ns: float, y: float) -> tuple[float, float]:
    """Where on the screen, after scrolling, a time and a height of the picture are."""
    place = page.evaluate(PLACE, [at_ns / NS_PER_MS, y])
    return place[0], place[1]


def row_of(scene: Any, run: str, rank: int, name: str) -> Any:
    return scene.rows.find(run, rank, name)


def drag(page: Page, left: float, right: float, y: float) -> None:
    """A drag from one place to another, with the pixels between."""
    page.mouse.move(left, y)
    page.mouse.down()
    page.mouse.move((left + right) / 2, y, steps=4)
    page.mouse.move(right, y, steps=4)
    page.mouse.up()
