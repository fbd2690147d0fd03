"""An area of the timeline: its place in the address, its frames, and what is inside."""

from __future__ import annotations

import csv
import io

import pytest

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.timeline.area import area_at, frames_of
from dpprof.dashboards.timeline.area_figures import area_figures
from dpprof.dashboards.timeline.area_panel import AREA_CSV, area_panel
from dpprof.dashboards.timeline.interaction import act
from dpprof.dashboards.timeline.scene import Wanted, make_scene
from dpprof.dashboards.view.state import Area, Known, parse

KNOWN = Known({"timeline": {}}, ("dualpipe", "1f1b"))


@pytest.fixture(scope="module")
def scene(library):
    return make_scene(library, [library.get(id) for id in library.ids], Wanted())


@pytest.fixture(scope="module")
def area(scene):
    """The second half of the step on rank 1 of the first run and rank 0 of the second."""
    return Area(scene.whole_ns // 2, scene.whole_ns, (("dualpipe", (1,)), ("1f1b", (0,))))


def test_an_area_goes_into_the_address_and_back():
    area = Area(10, 500, (("dualpipe", (0, 1, 2, 7)), ("1f1b", (3,))))
    assert str(area) == "10-500:dualpipe:0-2,7:1f1b:3"
    view, problems = parse("timeline", f"area={area}", KNOWN)
    assert (view.area, problems) == (area, [])
    assert parse("timeline", view.search(), KNOWN)[0] == view


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "9-5:dualpipe:0",
        "1-2",
        "1-2:dualpipe",
        "1-2:other:0",
        "1-2:dualpipe:x",
        "1-2:dualpipe:",
    ],
)
def test_what_is_no_area_is_said(text):
    view, problems = parse("timeline", f"area={text}", KNOWN)
    assert view.area is None
    assert len(problems) == 1


def test_a_dragged_box_holds_the_ranks_it_touches(scene):
    rows = {(row.run, row.rank, row.name): row for row in scene.rows.rows}
    last = max(run.ranks[-1] for run in scene.runs[:1])
    top = rows["dualpipe", last, "compute"].middle
    bottom = rows["1f1b", 0, "slots"].middle
    box = {"x": 900.0, "x2": 100.0, "y": bottom, "y2": top}
    area = area_at(scene, box)
    assert area == Area(100, 900, (("dualpipe", (last,)), ("1f1b", (0,))))
    assert area_at(scene, box | {"x": 100.0}) is None
    assert area_at(scene, box | {"y": "top"}) is None
    assert area_at(scene, {"x": 1, "x2": 5, "y": -9, "y2": -5}) is None


def test_neighbours_share_a_frame(scene):
    run = scene.runs[0]
    frames = frames_of(scene, Area(0, 10, ((run.run.id, run.ranks),)))
    own = [row for row in scene.rows.rows if row.run == run.run.id]
    assert [(one.top, one.bottom) for one in frames] == [(own[0].top, own[-1].bottom)]
    assert frames_of(scene, None) == []


def test_what_is_inside_adds_up(library, scene, area):
    first, second = area_figures(library, scene, area)
    assert [(one.run, [own.rank for own in one.ranks]) for one in (first, second)] == [
        ("dualpipe", [1]),
        ("1f1b", [0]),
    ]
    for one in (first, second):
        assert sum(one.states.values()) == one.span_ns
    # A run whose step is shorter has no more time than its step.
    for one, run in zip((first, second), scene.runs, strict=True):
        assert one.span_ns == max(0, min(area.end_ns, run.window_ns) - area.start_ns)


def test_the_panel_and_the_file_say_the_same(library, make_context, scene, area, text_of):
    context = make_context(page="timeline", area=area)
    panel = area_panel(context, scene, area)
    assert "2 ranks" in text_of(panel)
    client = make_app(library).server.test_client()
    answer = client.get(f"{AREA_CSV}?{context.view.search()}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    for one in area_figures(library, scene, area):
        own = [row for row in rows if row["run"] == one.run]
        states = sum(int(row["total_ns"]) for row in own if row["of"] == "state")
        assert states == one.span_ns
        names = sum(int(row["total_ns"]) for row in own if row["of"] == "activity")
        assert names == one.names["total_ns"].sum()
        unit = text_of(panel, f"area-names-{one.run}")
        assert one.names["name"].iloc[0] in unit
    assert client.get(AREA_CSV).status_code == 404


def test_f_zooms_to_the_area(make_context, scene, area):
    context = make_context(page="timeline", area=area)
    assert act(context, scene, {"act": "fit"}) == {"t": f"{area.start_ns}-{area.end_ns}"}


def test_a_rank_is_pinned_and_let_go(make_context, scene):
    y = next(row for row in scene.rows.rows if row.rank == 1).middle
    assert act(make_context(page="timeline"), scene, {"act": "pin", "y": y}) == {"o.pin": "1"}
    pinned = make_context(page="timeline", options={"pin": "0-1"})
    assert act(pinned, scene, {"act": "pin", "y": y}) == {"o.pin": "0"}
    assert act(pinned, scene, {"act": "pin", "y": "1"}) is None


def test_the_arrow_keys_reach_every_row(make_context, scene):
    context = make_context(page="timeline")
    seen = []
    select = act(context, scene, {"act": "row", "by": 1})
    while select is not None and len(seen) < 50:
        view, _ = parse("timeline", f"select={select['select']}", KNOWN)
        seen.append((view.select.run, view.select.rank, view.select.what))
        context = make_context(page="timeline", select=view.select)
        select = act(context, scene, {"act": "row", "by": 1})
    assert {what for _, _, what in seen} == {"slot", "event", "bubble"}
    assert {(run, rank) for run, rank, _ in seen} == {
        (one.run.id, rank) for one in scene.runs for rank in one.ranks
    }
