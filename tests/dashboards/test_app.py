"""The app's callbacks as a browser calls them, without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.pages.addresses import context_of
from dpprof.dashboards.view.state import ViewState
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run

SCREEN = {"width": 1366, "height": 768, "dark": False}
SHELL = ("nav.children", "controls.children", "notes.children", "content.children", "app.className")
TIMELINE = (
    "timeline.figure",
    "timeline-legend.children",
    "timeline-readout.children",
    "timeline-tools.children",
    "timeline-map.src",
    "timeline-details.children",
    "timeline-found.children",
    "timeline-drawn.data",
)


@pytest.fixture(scope="module")
def client(library):
    return make_app(library).server.test_client()


def call(client, outputs, inputs, states=(), triggered="url.search", side="response"):
    """The answer of the callback with these outputs: id and property -> value."""

    def parts(names, values):
        pairs = [name.rpartition(".") for name in names]
        return [
            {"id": one, "property": prop, "value": value}
            for (one, _, prop), value in zip(pairs, values, strict=True)
        ]

    single = len(outputs) == 1
    listed = [
        {"id": one, "property": prop} for one, _, prop in (name.rpartition(".") for name in outputs)
    ]
    body: dict[str, Any] = {
        "output": outputs[0] if single else "..{}..".format("...".join(outputs)),
        "outputs": listed[0] if single else listed,
        "inputs": parts(*zip(*inputs.items(), strict=True)),
        "changedPropIds": [triggered],
    }
    if states:
        body["state"] = parts(*zip(*states.items(), strict=True))
    answer = client.post("/_dash-update-component", json=body)
    if answer.status_code == 204:
        return None
    assert answer.status_code == 200, answer.text
    return answer.get_json()[side]


def show(client, url, screen=SCREEN, shown=None):
    path, _, query = url.partition("?")
    inputs = {"url.pathname": path, "url.search": f"?{query}", "screen.data": screen}
    return call(client, (*SHELL, "shown.data", "problem.children"), inputs, {"shown.data": shown})


def draw(client, query="", screen=SCREEN, path="/timeline", drawn=None):
    inputs = {"url.pathname": path, "url.search": query, "screen.data": screen}
    return call(client, TIMELINE, inputs, {"timeline-drawn.data": drawn})


def test_nothing_is_shown_before_the_window_is_known(client):
    assert show(client, "/", screen=None) == {}


def test_a_page_is_drawn_again_only_where_more_than_its_live_fields_changed(client):
    first = show(client, "/timeline?t=0-500")
    assert "children" in first["content"]
    key = first["shown"]["data"]
    assert "content" not in show(client, "/timeline?t=9-700&select=bubble:1f1b:0:3:0", shown=key)
    assert "content" in show(client, "/timeline?t=9-700&step=1", shown=key)
    assert "content" in show(client, "/timeline?t=9-700", dict(SCREEN, dark=True), shown=key)


def test_what_of_the_url_is_not_known_is_said(client):
    answer = show(client, "/timeline?runs=../../etc/passwd")
    (note,) = answer["notes"]["children"]
    assert "the runs here are" in note["props"]["children"]


@pytest.mark.parametrize(
    ("dark", "query", "name"),
    [(False, "", "light"), (True, "", "dark"), (True, "?theme=light", "light")],
)
def test_the_theme_is_the_systems_unless_the_url_says_one(client, dark, query, name):
    answer = show(client, f"/runs{query}", dict(SCREEN, dark=dark))
    assert answer["app"]["className"] == f"app {name}"


def test_every_page_is_in_the_navigation_and_has_a_sentence(client):
    links = show(client, "/runs")["nav"]["children"]
    titles = [link["props"]["children"]["props"]["children"] for link in links]
    assert titles == [page.title for page in all_pages()]
    assert all(page.about.endswith(".") for page in all_pages())


def test_a_picture_says_how_much_of_the_data_it_shows(client):
    answer = draw(client)
    figure = answer["timeline"]["figure"]
    assert figure["layout"]["images"][0]["source"].startswith("data:image/png;base64,")
    text = "".join(answer["timeline-readout"]["children"])
    assert "100.0% of the step" in text
    assert "pieces in view" in text


def test_only_what_changed_is_drawn_again(client, library):
    first = draw(client)
    keys = first["timeline-drawn"]["data"]
    assert first["timeline-map"]["src"].startswith("data:image/png;base64,")
    region = library.get("1f1b").report.regions[0]
    place = f"bubble:1f1b:{region.rank}:{region.offset_ns}:0"
    pointed = draw(client, f"?select={place}", drawn=keys)
    assert pointed["timeline"]["figure"]["__dash_patch_update"]
    assert not pointed.keys() & {"timeline-map", "timeline-tools", "timeline-legend"}
    assert pointed["timeline-details"]["children"]
    zoomed = draw(client, "?t=0-5000000", drawn=keys)
    assert zoomed["timeline"]["figure"]["layout"]["images"]
    assert not zoomed.keys() & {"timeline-map", "timeline-tools"}
    colored = draw(client, "?color=kind", drawn=keys)
    assert {"timeline-map", "timeline-tools"} <= colored.keys()


def test_what_a_search_found_is_counted(client):
    assert draw(client, "?find=mlp")["timeline-found"]["children"].endswith(" found")
    assert draw(client, "?find=nonsense")["timeline-found"]["children"] == "nothing found"
    assert draw(client)["timeline-found"]["children"] == ""


def test_how_far_long_work_is_can_be_asked(client, library):
    seen = []

    def make():
        library.tell("names of a", 3, 8)
        seen.extend(client.get("/_progress").get_json())

    library.kept("something slow", make)
    assert seen == [{"what": "names of a", "done": 3, "of": 8}]
    assert client.get("/_progress").get_json() == []


def test_ranks_and_steps_that_are_not_there_are_said(client):
    text = "".join(draw(client, "?ranks=60000")["timeline-readout"]["children"])
    assert text == "None of the chosen ranks is in these runs, which have 0-3."
    (note,) = show(client, "/timeline?step=77")["notes"]["children"]
    assert note["props"]["children"] == "step 77 is not in these runs; the first one is shown"


@pytest.mark.parametrize("screen", [{"width": -5}, {"width": 10**9}, {}])
def test_odd_windows_do_no_harm(client, screen):
    assert draw(client, screen=screen)["timeline"]["figure"]["layout"]["width"] <= 1366


def test_other_pages_draw_no_timeline(client):
    assert draw(client, path="/runs") == {}


def test_a_click_selects_and_a_key_goes_on(client, library):
    states = {"url.pathname": "/timeline", "url.search": "", "screen.data": SCREEN}
    step = library.get("dualpipe").run.used_steps[0]
    acted = {"timeline-act.data": {"act": "next", "by": 1}}
    hashed = find_output(client, "url.search")
    answer = call(client, (hashed,), acted, states, "timeline-act.data")
    select = parse_qs(answer["url"]["search"].lstrip("?"))["select"][0]
    region = max(
        (one for id in library.ids for one in library.get(id).report.regions if one.step == step),
        key=lambda one: one.length_ns,
    )
    assert select.split(":")[0] == "bubble"
    assert int(select.split(":")[3]) == region.offset_ns


def find_output(client, name):
    """The name under which Dash knows an output that several callbacks have."""
    found = [one["output"] for one in client.get("/_dash-dependencies").get_json()]
    return next(one for one in found if one.startswith(f"{name}@"))


def test_a_run_without_activity_has_an_empty_state():
    empty = Run(name="empty", source="captured", places=(RankPlace(rank=0, pp_rank=0),))
    client = make_app(Library.of_runs([empty])).server.test_client()
    content = show(client, "/timeline")["content"]["children"]
    assert "nothing to draw" in str(content)


def test_errors_of_a_page_are_shown_in_it(library):
    def loader():
        raise DpprofError("rank3.json.gz: is damaged; copy it again")

    broken = Library({"broken": loader})
    client = make_app(broken).server.test_client()
    content = show(client, "/timeline")
    assert "is damaged; copy it again" in str(content)


def test_a_bug_is_said_on_the_page_and_in_full_on_stderr(capsys):
    def loader():
        raise RuntimeError("surprise")

    client = make_app(Library({"odd": loader})).server.test_client()
    inputs = {"url.pathname": "/runs", "url.search": "", "screen.data": SCREEN}
    names = (*SHELL, "shown.data", "problem.children")
    answer = call(client, names, inputs, {"shown.data": None}, side="sideUpdate")
    assert "bug in dpprof: RuntimeError: surprise" in str(answer["problem"]["children"])
    assert "Traceback" in capsys.readouterr().err


def test_contexts(library):
    context, problems = context_of(library, "/timeline", "?runs=1f1b", SCREEN)
    assert problems == []
    assert [run.id for run in context.runs] == ["1f1b"]
    assert context.baseline.id == "1f1b"
    assert context.link(step=2) == "/timeline?runs=1f1b&step=2"
    assert context.view == ViewState(page="timeline", runs=("1f1b",))
    assert context.option("lanes", "together") == "together"


def test_a_bug_in_one_page_leaves_the_navigation_and_the_others_standing(
    library, monkeypatch, capsys
):
    def broken(context):
        raise KeyError("kind")

    pages = tuple(
        replace(page, layout=broken) if page.key == "kinds" else page for page in all_pages()
    )
    monkeypatch.setattr("dpprof.dashboards.app.app.all_pages", lambda: pages)
    client = make_app(library).server.test_client()
    answer = show(client, "/kinds")
    assert len(answer["nav"]["children"]) == len(pages)
    assert "bug in dpprof: KeyError: 'kind'" in str(answer["content"]["children"])
    assert "Traceback" in capsys.readouterr().err
    assert "bug in dpprof" not in str(show(client, "/runs")["content"]["children"])
