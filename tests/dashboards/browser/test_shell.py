"""The shell in a browser: navigation, history, pickers, theme, help, and hostile addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

OPACITY = "getComputedStyle(document.getElementById('content')).opacity"


def test_pages_keep_the_view_and_back_goes_back(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline?runs=dualpipe&theme=dark")
    page.locator("#nav").get_by_text("Runs", exact=True).click()
    settle(page)
    assert page.url == f"{samples.url}runs?runs=dualpipe&theme=dark"
    assert page.locator("[data-testid=run-dualpipe]").count() == 1
    page.go_back()
    settle(page)
    assert page.url == f"{samples.url}timeline?runs=dualpipe&theme=dark"
    assert page.locator("#timeline").count() == 1


def test_a_page_that_is_asked_for_is_marked_at_once_and_the_old_one_dimmed(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}overview")
    held: list[Any] = []
    page.route("**/_dash-update-component", lambda route: held.append(route))
    page.locator("#nav").get_by_text("Memory", exact=True).click()
    page.wait_for_function(f"() => {OPACITY} === '0.5'")
    assert page.locator("#nav a.here").all_inner_texts() == ["Memory"]
    page.unroute("**/_dash-update-component")
    for route in held:
        route.continue_()
    settle(page)
    assert page.locator("#nav a.here").all_inner_texts() == ["Memory"]
    assert page.evaluate(f"() => {OPACITY}") == "1"
    assert page.locator("#content.leaving").count() == 0


def test_a_reload_shows_the_same(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}runs?theme=dark")
    before = page.locator("#content").inner_text()
    page.reload()
    settle(page)
    assert page.locator("#content").inner_text() == before
    assert page.locator("#app.dark").count() == 1


def test_the_theme_button_switches_and_the_url_holds_it(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    light = page.evaluate("() => getComputedStyle(document.getElementById('app')).backgroundColor")
    page.locator("#theme-button").click()
    settle(page)
    assert page.url == f"{samples.url}timeline?theme=dark"
    dark = page.evaluate("() => getComputedStyle(document.getElementById('app')).backgroundColor")
    assert dark != light
    page.locator("#theme-button").click()
    settle(page)
    assert page.url == f"{samples.url}timeline?theme=light"


def test_help_opens_and_closes_with_keys_and_buttons(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    help = page.locator("#help")
    assert not help.is_visible()
    page.keyboard.press("?")
    assert help.is_visible()
    assert "zoom in and out" in help.inner_text()
    page.keyboard.press("w")
    page.keyboard.press("Escape")
    assert not help.is_visible()
    page.locator("#help-button").click()
    assert help.is_visible()
    page.locator("#help-close").click()
    assert not help.is_visible()
    assert page.url == f"{samples.url}timeline"


def test_a_picker_changes_the_url(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    page.locator(".picker.color").click()
    page.get_by_role("option", name="kind").click()
    settle(page)
    assert page.url == f"{samples.url}timeline?color=kind"
    names = page.locator("#timeline-legend [data-name]").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    assert "compute" in names


def test_everything_is_reached_with_the_keyboard(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => { const e = document.activeElement;"
                " const key = e.dataset.key || e.dataset.save || '';"
                " return e.id + '|' + e.className + '|' + key; }"
            )
        )
    text = "\n".join(reached)
    for wanted in ("theme-button", "help-button", "timeline-box", "|w", "|svg", "page here"):
        assert wanted in text, wanted
    for picker in ("color", "runs", "baseline"):
        assert f"picker {picker}" in text, picker


@pytest.mark.parametrize(
    "address",
    [
        "timeline?runs=../../etc/passwd",
        "timeline?t=99999999999999999999-1",
        "timeline?select=bubble:1f1b:999999:5:0",
        "timeline?ranks=60000",
        "timeline?o.lanes=%3Cscript%3Ealert(1)%3C/script%3E",
        "..%2f..%2fetc%2fpasswd",
    ],
)
def test_hostile_addresses_do_no_harm(
    samples: Any, address: str, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}{address}", fresh="%2f" in address)
    assert page.locator("#content > *").count() > 0
    assert "root:x:" not in page.content()
    assert page.locator("#content script").count() == 0


def test_what_is_not_understood_is_said(samples: Any, browser_page: Callable[..., Page]) -> None:
    page = browser_page(f"{samples.url}timeline?runs=nobody")
    assert "the runs here are dualpipe, 1f1b" in page.locator("#notes").inner_text()


def test_a_trace_for_perfetto_is_downloaded(
    samples: Any, browser_page: Callable[..., Page], tmp_path: Any
) -> None:
    page = browser_page(f"{samples.url}runs")
    with page.expect_download() as download:
        page.locator("[data-testid=run-dualpipe]").get_by_text("Download for Perfetto").click()
    assert download.value.suggested_filename == "dualpipe.json.gz"
    download.value.save_as(tmp_path / "trace")
    assert (tmp_path / "trace").read_bytes().startswith(b"\x1f\x8b")


def test_a_value_that_is_not_understood_is_said(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    box = page.get_by_label("Ranks")
    box.fill("three")
    box.press("Enter")
    settle(page)
    assert "write numbers and ranges, as in 0-3,7" in page.locator("#notes").inner_text()
    assert page.url == f"{samples.url}timeline"


def test_a_server_that_has_gone_is_said_until_it_answers_again(
    samples: Any,
    browser_page: Callable[..., Page],
    settle: Callable[[Page], None],
    problems: list[str],
) -> None:
    page = browser_page(f"{samples.url}timeline")
    offline = page.locator("#offline")
    assert not offline.is_visible()
    page.route("**/_dash-update-component", lambda route: route.abort("connectionrefused"))
    page.locator("#theme-button").click()
    settle(page)
    assert "the server does not answer" in offline.inner_text()
    problems.clear()
    page.unroute("**/_dash-update-component")
    page.locator("#theme-button").click()
    settle(page)
    assert not offline.is_visible()


def test_a_window_of_another_size_has_a_picture_of_that_size(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}timeline")
    width = "() => document.querySelector('#timeline .js-plotly-plot')._fullLayout.width"
    assert page.evaluate(width) == 1366 - 62
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function(f"() => ({width})() === {1920 - 62}")
    settle(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1920


CHOICE = "#content a.choice:not(.here)"


@pytest.mark.parametrize("key", ["overlap", "diff", "bubbles"])
def test_a_choice_within_a_page_keeps_the_readers_place(
    key: str, samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}{key}")
    choice = page.locator(CHOICE).last
    choice.scroll_into_view_if_needed()
    settle(page)
    before = page.evaluate("() => window.scrollY")
    assert before > 100
    choice.click()
    settle(page)
    lowest = page.evaluate("() => document.documentElement.scrollHeight - window.innerHeight")
    assert abs(page.evaluate("() => window.scrollY") - min(before, lowest)) <= 5


def test_back_returns_to_the_place_where_the_page_was_left(
    samples: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = browser_page(f"{samples.url}overlap")
    page.evaluate("() => window.scrollTo(0, 900)")
    settle(page)
    page.evaluate("() => document.querySelector('#nav a.page:not(.here)').click()")
    settle(page)
    page.go_back()
    settle(page)
    assert abs(page.evaluate("() => window.scrollY") - 900) <= 5
