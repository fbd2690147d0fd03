"""Tables can be sorted, filtered, copied and saved; one page serves all of it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.pages.diff import layout
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from tests.dashboards.conftest import components

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

_MOST_COMPONENTS = 400
"""Of Diff; with one for every cell they were 1,156, which took the browser seconds."""


def column(table: Locator, number: int) -> list[str]:
    return table.evaluate(
        """(table, number) => Array.from(table.tBodies[0].rows).filter(row => !row.hidden)
        .map(row => row.cells[number].textContent.trim())""",
        number,
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts]


def test_a_table_is_sorted_filtered_copied_and_saved(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None], tmp_path: Path
) -> None:
    page = browser_page(f"{samples.url}diff", permissions=["clipboard-read", "clipboard-write"])
    table = page.get_by_test_id("diff-regions")
    tools = page.locator(".table-tools", has=page.get_by_label("Filter diff-regions"))
    rows = table.evaluate("table => table.tBodies[0].rows.length")
    assert len(column(table, 7)) == 25 < rows

    tools.get_by_role("button", name=f"all {rows}").click()
    assert len(column(table, 7)) == rows

    change = table.get_by_role("button", name="change")
    change.click()
    assert numbers(column(table, 7)) == sorted(numbers(column(table, 7)), reverse=True)
    change.click()
    assert numbers(column(table, 7)) == sorted(numbers(column(table, 7)))
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("change")

    tools.get_by_role("searchbox").fill("added -cooldown change>1")
    found = column(table, 0)
    assert set(found) == {"added"}
    assert 0 < len(found) < rows
    assert "cooldown" not in column(table, 2)
    assert min(numbers(column(table, 7))) > 1

    tools.get_by_role("button", name="Copy").click()
    page.wait_for_function("() => navigator.clipboard.readText()")
    copied = page.evaluate("() => navigator.clipboard.readText()").splitlines()
    assert [line.split("\t")[0] for line in copied] == ["what", *found]

    with page.expect_download() as waiting:
        tools.get_by_role("button", name="CSV").click()
    waiting.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["what", *found]

    page.evaluate("window.isTheSame = true")
    table.get_by_role("link").first.click()
    settle(page)
    assert "/timeline?" in page.url
    assert page.evaluate("window.isTheSame")
    page.go_back()
    settle(page)
    assert set(column(table, 0)) == {"added"}, "what was filtered is forgotten"


def test_parts_stay_beneath_their_whole_when_sorted(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}diff")
    table = page.get_by_test_id("diff-table-0")
    before = column(table, 0)
    table.locator("th .sort").first.click()
    after = column(table, 0)
    assert sorted(after) == sorted(before)
    assert after != before
    assert after[0] == before[0] == "step"
    parts = after[after.index("computing") + 1 :][:2]
    assert parts == sorted(before[before.index("computing") + 1 :][:2])


def test_diff_is_few_components(samples: Any) -> None:
    content = layout(Context(samples.library, ViewState(page="diff"), LIGHT))
    tables = [one for one in components(content) if hasattr(one, "data-html")]
    inside = sum(1 for one in tables for _ in components(one.whole_content))
    count = sum(1 for _ in components(content)) - inside
    assert len(tables) >= 5
    assert count < _MOST_COMPONENTS
