"""Every page shows traces of other people's jobs, with what can be known of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.trace.load import load_run
from tests.dashboards.browser.chromium import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

SETS = {
    "one rank of DeepSeek's pipeline": ["deepseek_train.json.gz"],
    "data parallel beside a run without a device": [
        "nanogpt_8_h100",
        "hta/cpu_only_rank34.json.gz",
    ],
}


@pytest.fixture(scope="session")
def public_traces() -> Path:
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no public traces beside the repository (../shared/data)")
    return folder


@pytest.mark.parametrize("name", SETS)
def test_every_page_shows_what_can_be_known(
    name: str,
    public_traces: Path,
    browser_page: Callable[..., Page],
    settle: Callable[[Page], None],
) -> None:
    library = Library.of_runs([load_run(public_traces / file) for file in SETS[name]])
    shown: dict[str, Any] = {}
    with served(make_app(library).server) as url:
        page = browser_page(url, fresh=True)
        for one in all_pages():
            page.locator("#nav").get_by_text(one.title, exact=True).click()
            settle(page)
            assert urlsplit(page.url).path == f"/{one.key}"
            shown[one.key] = (
                page.locator(".panel.error:visible").all_inner_texts(),
                page.locator("#content > *").count() > 0,
            )
    assert shown == {one.key: ([], True) for one in all_pages()}
