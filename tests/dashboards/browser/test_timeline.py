"""The timeline in a browser: zoom, pan, keys, tips, selection, and what the URL holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dpprof.dashboards.timeline.area_figures import area_csv, area_figures
from dpprof.dashboards.timeline.find import matches
from dpprof.dashboards.timeline.hit_test import hit_of, longest_bubble
from dpprof.dashboards.timeline.scene import Wanted, make_scene, plot_width
from dpprof.dashboards.timeline.tooltips import facts_of, region_of, title_of
from dpprof.dashboards.timeline.view import scene_of
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Area, ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.reporters.blocks.units import time_unit

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRAPH = "#timeline .js-plotly-plot"
NS_PER_MS = 1e6


@pytest.fixture
def scene(pp8: Any) -> Any:
    """The picture that the timeline opens with, 1366 pixels wide."""
    runs = [pp8.library.get(id) for id in pp8.library.ids]
    return make_scene(pp8.library, runs, Wanted(width_px=plot_width(1366)))


@pytest.fixture
def timeline(pp8: Any, browser_page: Callable[..., Page]) -> Page:
    return opened(browser_page, f"{pp8.url}timeline")


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


def test_the_first_picture_is_the_whole_step(timeline: Page, scene: Any) -> None:
    assert drawn_range(timeline) == (0, pytest.approx(scene.whole_ns))
    readout = timeline.locator("#timeline-readout").inner_text()
    assert f"{scene.count():,} pieces in view" in readout
    assert "100.0% of the step" in readout
    assert urlsplit(timeline.url).query == ""
    meta = timeline.evaluate(f"() => document.querySelector('{GRAPH}')._fullLayout.meta")
    assert meta == {"start_ns": 0, "span_ns": scene.whole_ns, "whole_ns": scene.whole_ns}


def test_the_legend_names_what_is_painted(timeline: Page) -> None:
    names = timeline.locator("#timeline-legend [data-name]").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    assert {"F", "B", "F&B", "bubble.warmup", "bubble.cooldown", "bubble.dependency"} <= set(names)


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


def test_keys_zoom_and_pan(timeline: Page, scene: Any, settle: Callable[[Page], None]) -> None:
    whole = scene.whole_ns
    timeline.keyboard.press("w")
    rest(timeline, settle)
    assert drawn_range(timeline) == (pytest.approx(0.2 * whole), pytest.approx(0.8 * whole))
    start, end = map(int, address(timeline)["t"].split("-"))
    assert (start, end) == (pytest.approx(0.2 * whole, abs=2), pytest.approx(0.8 * whole, abs=2))
    timeline.keyboard.press("d")
    rest(timeline, settle)
    assert drawn_range(timeline)[0] == pytest.approx(0.35 * whole)
    timeline.keyboard.press("a")
    timeline.keyboard.press("a")
    rest(timeline, settle)
    assert drawn_range(timeline)[0] == pytest.approx(0.05 * whole)
    timeline.keyboard.press("s")
    rest(timeline, settle)
    assert drawn_range(timeline) == (0, pytest.approx(whole))
    assert "t" not in address(timeline)


def test_many_keys_at_once_are_one_zoom_down_to_nanoseconds(
    timeline: Page, settle: Callable[[Page], None]
) -> None:
    for _ in range(45):
        timeline.keyboard.press("w")
    rest(timeline, settle)
    start, end = map(int, address(timeline)["t"].split("-"))
    assert 199 <= end - start <= 201
    assert "ns, " in timeline.locator("#timeline-readout").inner_text()
    timeline.keyboard.press("0")
    rest(timeline, settle)
    assert "t" not in address(timeline)


def drag(page: Page, left: float, right: float, y: float) -> None:
    """A drag from one place to another, with the pixels between."""
    page.mouse.move(left, y)
    page.mouse.down()
    page.mouse.move((left + right) / 2, y, steps=4)
    page.mouse.move(right, y, steps=4)
    page.mouse.up()


@pytest.mark.parametrize("where", ["axis", "rows"])
def test_dragging_the_axis_or_with_control_zooms_to_the_range(
    timeline: Page, scene: Any, settle: Callable[[Page], None], where: str
) -> None:
    row = row_of(scene, "dualpipe", 2, "compute")
    left, y = at(timeline, 0.25 * scene.whole_ns, row.middle)
    right, _ = at(timeline, 0.5 * scene.whole_ns, row.middle)
    if where == "axis":
        box = timeline.locator("#timeline-axis").bounding_box()
        assert box
        y = box["y"] + box["height"] / 2
    else:
        timeline.keyboard.down("Control")
    drag(timeline, left, right, y)
    timeline.keyboard.up("Control")
    rest(timeline, settle)
    start, end = map(int, address(timeline)["t"].split("-"))
    pixel = scene.whole_ns / scene.width_px
    assert start == pytest.approx(0.25 * scene.whole_ns, abs=2 * pixel)
    assert end == pytest.approx(0.5 * scene.whole_ns, abs=2 * pixel)
    assert drawn_range(timeline) == (pytest.approx(start), pytest.approx(end))


def test_a_dragged_area_says_what_is_in_it(
    timeline: Page, scene: Any, pp8: Any, settle: Callable[[Page], None]
) -> None:
    row = row_of(scene, "dualpipe", 3, "compute")
    left, y = at(timeline, 0.25 * scene.whole_ns, row.middle)
    right, _ = at(timeline, 0.5 * scene.whole_ns, row.middle)
    drag(timeline, left, right, y)
    settle(timeline)
    span, run, ranks = address(timeline)["area"].split(":")
    assert (run, ranks) == ("dualpipe", "3")
    start, end = map(int, span.split("-"))
    pixel = scene.whole_ns / scene.width_px
    assert (start, end) == (
        pytest.approx(0.25 * scene.whole_ns, abs=2 * pixel),
        pytest.approx(0.5 * scene.whole_ns, abs=2 * pixel),
    )
    area = Area(start, end, (("dualpipe", (3,)),))
    (figures,) = area_figures(pp8.library, scene, area)
    unit = time_unit(end - start)
    for state, total in figures.states.items():
        shown = timeline.get_by_test_id(f"area-states-dualpipe-{state}").locator("td").nth(1)
        assert shown.inner_text() == f"{total / unit.nanoseconds:,.2f}"
    with timeline.expect_download() as download:
        timeline.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text() == area_csv([figures])
    timeline.keyboard.press("f")
    rest(timeline, settle)
    assert drawn_range(timeline) == (pytest.approx(start), pytest.approx(end))
    timeline.keyboard.press("Escape")
    settle(timeline)
    assert "area" not in address(timeline)


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


def test_the_axis_stays_while_the_rows_scroll(timeline: Page, scene: Any) -> None:
    at(timeline, 0, scene.rows.rows[-1].middle)
    head, top = (
        timeline.evaluate(f"() => document.querySelector('{one}').getBoundingClientRect().toJSON()")
        for one in ("#timeline-head", ".top")
    )
    assert head["top"] == pytest.approx(top["bottom"], abs=1)
    ticks = timeline.locator("#timeline-axis .tick").all_inner_texts()
    assert ticks[0] == "0"
    assert len(ticks) >= 5


def test_the_wheel_zooms_at_the_pointer(
    timeline: Page, scene: Any, settle: Callable[[Page], None]
) -> None:
    x, y = at(timeline, 0.3 * scene.whole_ns, row_of(scene, "dualpipe", 1, "compute").middle)
    timeline.mouse.move(x, y)
    timeline.keyboard.down("Control")
    timeline.mouse.wheel(0, -100)
    timeline.keyboard.up("Control")
    rest(timeline, settle)
    start, end = drawn_range(timeline)
    assert end - start < 0.7 * scene.whole_ns
    place = (0.3 * scene.whole_ns - start) / (end - start)
    assert place == pytest.approx(0.3, abs=0.01)


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


def test_colours_lanes_and_ranks_are_picked(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = opened(
        browser_page, f"{pp8.url}timeline?runs=dualpipe&color=kind&o.lanes=streams&ranks=1,3"
    )
    names = page.locator("#timeline-legend [data-name]").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    assert {"compute", "dispatch", "combine"} <= set(names)
    ticks = page.evaluate(f"() => document.querySelector('{GRAPH}').layout.yaxis.ticktext")
    assert any("rank 1" in tick for tick in ticks)
    assert not any("rank 0" in tick for tick in ticks)
    box = page.get_by_label("Ranks")
    assert box.input_value() == "1,3"
    box.fill("0-2")
    box.press("Enter")
    settle(page)
    assert address(page)["ranks"] == "0-2"


def test_a_run_above_its_ideal(
    pp8: Any, browser_page: Callable[..., Page], settle: Callable[[Page], None]
) -> None:
    page = opened(browser_page, f"{pp8.url}timeline?runs=dualpipe")
    page.get_by_role("link", name="above ideal").click()
    settle(page)
    assert address(page)["runs"] == "dualpipe,dualpipe~ideal"
    titles = page.evaluate(
        f"() => document.querySelector('{GRAPH}').layout.annotations.map(a => a.text)"
    )
    ideal = pp8.library.get("dualpipe").report.ideal
    length = time_unit(ideal.window_ns // ideal.steps).full(ideal.window_ns // ideal.steps)
    assert titles[1] == f"<b>ideal of dualpipe</b>  SIMULATED, {length}"


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_picture_is_saved(timeline: Page, form: str, tmp_path: Any) -> None:
    with timeline.expect_download() as download:
        timeline.locator(f"[data-save={form}]").click()
    assert download.value.suggested_filename == f"dpprof-timeline.{form}"
    path = tmp_path / form
    download.value.save_as(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if form == "png" else b"<svg")
    assert len(content) > 20_000


def test_on_a_phone_the_options_are_folded_away(
    samples: Any, browser_page: Callable[..., Page]
) -> None:
    page = browser_page(f"{samples.url}timeline", size=(390, 844))
    tools, ranks = page.locator("#timeline-tools"), page.get_by_label("Ranks")
    assert tools.evaluate("e => e.offsetHeight") < 100
    assert not ranks.is_visible()
    page.get_by_role("button", name="options").click()
    assert ranks.is_visible()
    page.get_by_role("button", name="options").click()
    assert not ranks.is_visible()
