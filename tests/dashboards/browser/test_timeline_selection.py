"""What is selected in the timeline: by clicks, keys, search and links; tips, and both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.dashboards.timeline.find import matches
from dpprof.dashboards.timeline.hit_test import hit_of, longest_bubble
from dpprof.dashboards.timeline.scene import Wanted, make_scene, plot_width
from dpprof.dashboards.timeline.tooltips import facts_of, region_of, title_of
from dpprof.dashboards.timeline.view import scene_of
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.reporters.blocks.units import time_unit
from tests.dashboards.browser.timeline_page import (
    GRAPH,
    NS_PER_MS,
    address,
    at,
    drawn_range,
    opened,
    rest,
    row_of,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_what_a_link_selects_stands_above_its_panel(
    browser_page: Callable[..., Page], pp8: Any, settle: Callable[[Page], None]
) -> None:
    """The last rank of the lower run is below the fold of a small screen, or behind the panel."""
    run = pp8.library.get("1f1b")
    rank, step = run.report.ranks[-1].rank, run.report.per_step[0]
    regions = run.accounting.regions
    at_ns = regions[(regions["rank"] == rank) & (regions.step == step.step)].start_ns.min()
    select = f"bubble:1f1b:{rank}:{at_ns - step.start_ns}:0"
    page = browser_page(f"{pp8.url}timeline?select={select}", size=(1366, 768))
    page.wait_for_function(f"() => document.querySelector('{GRAPH}')?._fullLayout?.meta?.selected")
    settle(page)
    place = page.evaluate(
        """() => {
            const gd = document.querySelector('#timeline .js-plotly-plot'), layout = gd._fullLayout;
            const zero = gd.getBoundingClientRect().top + layout._size.t;
            const edge = query => document.querySelector(query).getBoundingClientRect();
            return [edge('.top').bottom, zero + layout.meta.selected.top,
                    zero + layout.meta.selected.bottom, edge('#timeline-details').top];
        }"""
    )
    assert place == sorted(place)
    assert page.evaluate("() => window.scrollY") > 0


def test_a_search_goes_from_match_to_match(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    """From a page that is not the timeline."""
    page = browser_page(f"{pp8.url}runs")
    page.keyboard.press("/")
    page.keyboard.type("F0.3")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => document.querySelector('{GRAPH}')?._fullLayout?.meta?.selected")
    settle(page)
    runs = [pp8.library.get(id) for id in pp8.library.ids]
    scene = make_scene(pp8.library, runs, Wanted(width_px=plot_width(1366)))
    found = matches(pp8.library, scene, "F0.3")
    assert len(found) > 2
    for place, key in ((0, "Enter"), (1, "Shift+Enter"), (0, "")):
        assert page.locator("#find-count").inner_text() == f"{place + 1} of {len(found)}"
        assert _selection(page) == found.selection(pp8.library, scene, place)
        if key:
            page.keyboard.press(key)
            settle(page)
    page.keyboard.press("Escape")
    settle(page)
    assert "find" not in address(page)
    assert page.locator("#find-count").inner_text() == ""


def test_slots_and_transfers_are_selected_with_the_keyboard_and_ranks_pinned(
    timeline: Page, scene: Any, settle: Callable[[Page], None]
) -> None:
    timeline.locator("#timeline-box").focus()
    kinds = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown"):
        timeline.keyboard.press(key)
        settle(timeline)
        kinds.append(address(timeline)["select"].split(":")[0])
    assert kinds == ["slot", "slot", "event", "event", "event"]
    before = timeline.evaluate("() => window.scrollY")
    row = row_of(scene, "dualpipe", 2, "compute")
    x, y = at(timeline, 0, row.middle)
    timeline.mouse.click(x - 40, y)
    settle(timeline)
    assert address(timeline)["o.pin"] == "2"
    ticks = timeline.evaluate(f"() => document.querySelector('{GRAPH}').layout.yaxis.ticktext")
    assert ticks[0] == "rank 2"
    assert timeline.evaluate("() => window.scrollY") >= min(before, 1)


def test_a_click_on_a_bubble_tells_what_it_waited_for(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    region = max(
        (
            one
            for one in pp8.library.get("1f1b").report.regions
            if one.state == "bubble.dependency" and one.cause_rank is not None and one.slot
        ),
        key=lambda one: one.length_ns,
    )
    row = row_of(scene, "1f1b", region.rank, "bubbles")
    timeline.mouse.click(*at(timeline, region.offset_ns + region.length_ns / 2, row.middle))
    settle(timeline)
    assert address(timeline)["select"] == f"bubble:1f1b:{region.rank}:{region.offset_ns}:0"
    hit = hit_of(pp8.library, scene, _selection(timeline))
    assert region_of(hit) == region
    details = timeline.locator("#timeline-details")
    assert details.locator("h2").inner_text() == title_of(hit)
    for name, text in facts_of(hit).items():
        assert details.locator(f"[data-fact='{name}']").inner_text() == text
    assert f"rank {region.cause_rank}, {region.cause}" in details.inner_text()
    arrows = timeline.evaluate(
        f"() => document.querySelector('{GRAPH}').layout.annotations.filter(a => a.showarrow)"
    )
    cause = row_of(scene, "1f1b", region.cause_rank, "slots")
    assert [arrow["x"] * NS_PER_MS for arrow in arrows] == [pytest.approx(hit.end_ns)]
    assert [arrow["ay"] for arrow in arrows] == [cause.middle]


def _selection(page: Page) -> Any:
    from dpprof.dashboards.view.state import Selection

    what, run, *numbers = address(page)["select"].split(":")
    return Selection(what, run, *map(int, numbers))


def test_white_space_is_clicked_too_and_escape_lets_go(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    warmup = next(
        one
        for one in pp8.library.get("1f1b").report.regions
        if one.state == "bubble.warmup" and one.rank == 7
    )
    row = row_of(scene, "1f1b", 7, "compute")
    timeline.mouse.click(*at(timeline, warmup.length_ns / 2, row.middle))
    settle(timeline)
    assert address(timeline)["select"] == f"bubble:1f1b:7:{warmup.offset_ns}:0"
    assert "bubble: warmup" in timeline.locator("#timeline-details").inner_text()
    timeline.keyboard.press("Escape")
    settle(timeline)
    assert "select" not in address(timeline)
    assert timeline.locator("#timeline-details").inner_text() == ""


def test_a_click_on_a_transfer_shows_both_ends(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    run = pp8.library.get("dualpipe")
    events = run.run.held.communications
    step = run.run.used_steps[0]
    sends = events[
        (events["kind"] == "p2p") & (events["group"] == "2>3") & (events["step"] == step)
    ]
    pairs = sends[sends["rank"] == 2].merge(
        sends[sends["rank"] == 3], on="sequence", suffixes=("", "_got")
    )
    # The one that fills most of the picture is the easiest to hit.
    both = pairs[["end_ns", "end_ns_got"]].max(axis=1) - pairs["start_ns"]
    share = (pairs["end_ns"] - pairs["start_ns"]) / both
    number = pairs["sequence"].iloc[int(share.argmax())]
    sent, got = (
        sends[(sends["rank"] == rank) & (sends["sequence"] == number)].iloc[0] for rank in (2, 3)
    )
    origin = int(run.accounting.states.query(f"step == {step}")["start_ns"].iloc[0])
    start, end = int(sent["start_ns"]) - origin, int(got["end_ns"]) - origin
    last = max(end, int(sent["end_ns"]) - origin)  # a send may be noted late, and end last
    page = opened(
        browser_page, f"{pp8.url}timeline?runs=dualpipe&ranks=2-3&t={start - 1000}-{last + 1000}"
    )
    view = ViewState(runs=("dualpipe",), ranks=(2, 3), time_range=(start - 1000, last + 1000))
    shown = scene_of(Context(pp8.library, view, LIGHT), {"width": 1366, "height": 768})
    middle = (int(sent["end_ns"]) - origin + start) / 2
    page.mouse.click(*at(page, middle, row_of(shown, "dualpipe", 2, "p2p").middle))
    settle(page)
    assert address(page)["select"].startswith(f"event:dualpipe:2:{start}:")
    ends = page.locator("[data-testid=ends] li")
    assert ends.count() == 1
    assert ends.inner_text().startswith("rank 3, p2p, ")
    boxes = page.evaluate(
        f"() => document.querySelector('{GRAPH}').layout.shapes.filter(s => s.type === 'rect')"
    )
    spans = {(round(box["x0"] * NS_PER_MS), round(box["x1"] * NS_PER_MS)) for box in boxes}
    assert spans == {(start, int(sent["end_ns"]) - origin), (int(got["start_ns"]) - origin, end)}
    page.get_by_role("link", name="go there").click()
    settle(page)
    assert address(page)["select"].startswith("event:dualpipe:3:")


def test_next_and_previous_bubble(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    timeline.keyboard.press(".")
    settle(timeline)
    longest = longest_bubble(pp8.library, scene)
    assert address(timeline)["select"] == str(longest.selection)
    own = sorted(
        one.offset_ns
        for one in pp8.library.get(longest.run.run.id).report.regions
        if one.rank == longest.rank
    )
    place = own.index(longest.start_ns)
    timeline.keyboard.press(",")
    settle(timeline)
    assert address(timeline)["select"].split(":")[3] == str(own[max(0, place - 1)])
    timeline.get_by_role("button", name="next >").click()
    settle(timeline)
    expected = own[place] if place else own[1]
    assert address(timeline)["select"].split(":")[3] == str(expected)
    timeline.keyboard.press("f")
    settle(timeline)
    rest(timeline, settle)
    start, end = drawn_range(timeline)
    assert start <= expected <= end


def test_the_pointer_is_told_what_it_is_at(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    shown = pp8.library.get("dualpipe")
    slots, step = shown.run.slots, shown.report.per_step[0]
    own = slots[(slots["rank"] == 0) & (slots["step"] == step.step)]
    slot = own.sort_values("start_ns").iloc[0]
    row = row_of(scene, "dualpipe", 0, "slots")
    middle = (slot["start_ns"] + slot["end_ns"]) / 2 - step.start_ns
    x, y = at(timeline, middle, row.middle)
    timeline.mouse.move(x, y)
    timeline.mouse.move(x + 1, y)
    settle(timeline)
    tip = timeline.locator("#timeline-tip")
    assert tip.is_visible()
    assert tip.locator("b").inner_text() == f"slot {slot['slot']}"
    length = int(slot["end_ns"] - slot["start_ns"])
    assert tip.locator("[data-fact=length]").inner_text() == time_unit(length).full(length)
    timeline.mouse.move(5, 5)
    settle(timeline)
    assert not tip.is_visible()


def test_a_deep_link_shows_the_same_again(
    timeline: Page,
    pp8: Any,
    scene: Any,
    browser_page: Callable[..., Page],
    settle: Callable[[Page], None],
) -> None:
    row = row_of(scene, "1f1b", 0, "bubbles")
    region = max(
        (one for one in pp8.library.get("1f1b").report.regions if one.rank == 0),
        key=lambda one: one.length_ns,
    )
    timeline.mouse.click(*at(timeline, region.offset_ns + region.length_ns / 2, row.middle))
    settle(timeline)
    timeline.keyboard.press("f")
    settle(timeline)
    rest(timeline, settle)
    again = opened(browser_page, timeline.url, fresh=True)
    assert drawn_range(again) == drawn_range(timeline)
    for part in ("#timeline-readout", "#timeline-details", "#timeline-legend"):
        assert again.locator(part).inner_text() == timeline.locator(part).inner_text()
    source = f"() => document.querySelector('{GRAPH}').layout.images[0].source"
    assert again.evaluate(source) == timeline.evaluate(source)
