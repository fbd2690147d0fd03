"""Every page of the registry loads without an error, in light and dark, on every kind of run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.pages import all_pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH = "() => document.documentElement.scrollWidth"
PAGES = [page.key for page in all_pages()]

# Of the mode bars of all figures: a plotly that adds a button to them, to send their data away
# perhaps, fails here first.
KNOWN_BUTTONS = {"Download plot", "Zoom", "Pan", "Reset axes"}


@pytest.mark.parametrize("key", PAGES)
def test_every_page_loads_and_fits_the_window(
    key: str, samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}{key}")
    _check(page, key, "light")
    assert page.evaluate(WIDTH) <= 1366
    titles = "() => Array.from(document.querySelectorAll('.modebar-btn'), b => b.dataset.title)"
    assert set(page.evaluate(titles)) <= KNOWN_BUTTONS


@pytest.mark.parametrize("key", PAGES)
def test_every_page_fits_a_phone(key: str, samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}{key}", size=(390, 844))
    assert page.locator("#content > *").count() > 1
    assert page.evaluate(WIDTH) <= 390


@pytest.mark.parametrize("key", PAGES)
def test_every_page_loads_of_eight_ranks_in_the_dark(
    key: str, pp8: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{pp8.url}{key}", size=(1920, 1080), color_scheme="dark")
    _check(page, key, "dark")
    assert page.evaluate(WIDTH) <= 1920


def _check(page: Page, key: str, theme: str) -> None:
    assert page.locator("#app").get_attribute("class") == f"app {theme}"
    assert page.locator(".panel.error:visible").count() == 0
    assert page.locator(f"#nav [aria-current=page] >> text={_title(key)}").count() == 1
    assert page.locator("#content > *").count() > 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").all_inner_texts() == [_title(key)]
    assert page.title().startswith(f"{_title(key)}: ")
    assert serious(page) == []


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or critical for those who see, hear or move otherwise."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def _title(key: str) -> str:
    return next(page.title for page in all_pages() if page.key == key)
