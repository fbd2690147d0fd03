"""The report in one file opens from disk: everything drawn, nothing fetched, no error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.app.static_report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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
    assert download.value.suggested_filename == "dpprof.svg"
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 1366
    context.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
