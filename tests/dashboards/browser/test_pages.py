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


@pytest.mark.parametrize("key", PAGES)
def test_every_page_loads_and_fits_the_window(
    key: str, samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}{key}", color_scheme="light")
    _check(page, key, "light")
    assert page.evaluate(WIDTH) <= 1366


@pytest.mark.parametrize("key", PAGES)
def test_every_page_loads_of_eight_ranks_in_the_dark(
    key: str, pp8: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{pp8.url}{key}", size=(1920, 1080), color_scheme="dark")
    _check(page, key, "dark")
    assert page.evaluate(WIDTH) <= 1920


# Of the mode bars of all figures: a plotly that adds a button to them fails here first.
KNOWN_BUTTONS = {"Download plot", "Zoom", "Pan", "Reset axes"}


@pytest.mark.parametrize("key", PAGES)
def test_no_button_of_a_figure_sends_data_away(
    key: str, samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}{key}", color_scheme="light")
    titles = "() => Array.from(document.querySelectorAll('.modebar-btn'), b => b.dataset.title)"
    assert set(page.evaluate(titles)) <= KNOWN_BUTTONS


def _check(page: Page, key: str, theme: str) -> None:
    assert page.locator("#app").get_attribute("class") == f"app {theme}"
    assert page.locator(".panel.error:visible").count() == 0
    assert page.locator(f"#nav [aria-current=page] >> text={_title(key)}").count() == 1
    assert page.locator("#content > *").count() > 0


def _title(key: str) -> str:
    return next(page.title for page in all_pages() if page.key == key)
