"""The page of kinds: time by kind and name as the traces are explained, chosen by links."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.kinds import kinds_of, total_ns, unmatched
from dpprof.reporters.blocks.units import share_text, time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_names_are_those_of_the_traces(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}kinds?o.kind=dispatch")
    report = kinds_of(samples.library, samples.library.get("dualpipe"))
    unit = time_unit(max(one.total_ns for one in report.kinds))
    rows = [one for one in report.kinds if one.kind == "dispatch"]
    for number, one in enumerate(rows):
        cells = page.get_by_test_id(f"kinds-names-dualpipe-{number}").locator("td")
        texts = cells.all_inner_texts()
        assert texts[1:3] == ["dispatch", one.rule]
        assert texts[5:7] == [f"{one.activities:,}", unit.text(one.total_ns)]
    assert page.get_by_test_id(f"kinds-names-dualpipe-{len(rows)}").count() == 0


def test_what_no_rule_knows_is_a_click_away(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}kinds")
    report = kinds_of(samples.library, samples.library.get("dualpipe"))
    share = page.get_by_test_id("kinds-dualpipe-known-by-no-rule-value").inner_text()
    assert share == share_text(total_ns(unmatched(report)) / total_ns(report.kinds))
    page.get_by_role("link", name="known by no rule").first.click()
    settle(page)
    assert "o.show=unmatched" in page.url
    shown = page.locator("[data-testid=kinds-names-dualpipe] tbody tr").count()
    assert shown == len(unmatched(report))
