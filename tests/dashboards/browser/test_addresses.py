"""Addresses of the pages: hostile ones show the default, and none is opened as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = (
    "runs=/etc/passwd&baseline=../1f1b&step=-1&t=5-1&ranks=x&color=red&select=bubble:/etc:0:0:0"
    "&theme=%3Cscript%3Ealert(1)%3C/script%3E&nothing=1"
)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("steps", "o.metric=%3Cb%3E"),
        ("critical_path", "o.none=1"),
        ("kinds", "o.show=x&o.kind=../y"),
        ("diff", "o.run=/etc/passwd&o.level=9&o.rows=x&o.presence=x"),
        ("what_if", "o.schedule=%00&o.costs=/etc/passwd&o.communication=x"),
    ],
)
def test_hostile_addresses_are_said_and_show_the_default(
    key: str, options: str, samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}{key}?{HOSTILE}&{options}")
    said = " ".join(page.locator("#notes > *").all_inner_texts())
    assert said.count("the default is shown") >= 5
    assert page.locator("#content .panel").count() > 0
    assert "root:" not in page.locator("body").inner_text()
    assert page.evaluate("() => document.querySelectorAll('#notes script').length") == 0


def test_costs_are_never_a_path(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}what_if?o.costs=traces")
    assert "there are no costs 'traces'" in page.locator(".panel.error:visible").inner_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pp", "is no number from 1 on"),
        ("micro_batches", "is no number from 1 on"),
        ("layers", "layers 1e9: give layers of a stage"),
    ],
)
def test_numbers_that_are_none_are_said(
    name: str, said: str, samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}what_if?o.{name}=1e9")
    assert said in page.locator(".panel.error:visible").inner_text()
