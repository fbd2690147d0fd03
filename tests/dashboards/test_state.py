"""The URL holds the whole view and restores it; whatever is not understood gives the default."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.view.changes import changed, control_id
from dpprof.dashboards.view.state import (
    COLORS,
    SELECTED,
    THEMES,
    Known,
    Selection,
    ViewState,
    parse,
)

RUNS = ("dualpipe", "1f1b", "run-2", "dualpipe~ideal")
KNOWN = Known({"overview": {}, "timeline": {"lanes": ("together", "streams"), "pp": ()}}, RUNS)

numbers = st.integers(0, 2**62 - 1)
selections = st.builds(
    Selection, st.sampled_from(SELECTED), st.sampled_from(RUNS), numbers, numbers, numbers
)
options = st.fixed_dictionaries(
    {},
    optional={"lanes": st.just("streams"), "pp": st.from_regex(r"[\w., +~-]{1,9}", fullmatch=True)},
)
views = st.builds(
    ViewState,
    page=st.just("timeline"),
    runs=st.lists(st.sampled_from(RUNS), unique=True).map(tuple),
    baseline=st.sampled_from(("", *RUNS)),
    step=st.none() | numbers,
    time_range=st.none() | st.tuples(numbers, numbers).filter(lambda ends: ends[0] < ends[1]),
    ranks=st.sets(st.integers(0, 65_535), max_size=20).map(lambda ranks: tuple(sorted(ranks))),
    color=st.sampled_from(COLORS),
    select=st.none() | selections,
    theme=st.sampled_from(("", *THEMES)),
    options=options.filter(lambda chosen: chosen.get("pp", "x").isascii()),
)


def opened(url):
    parts = urlsplit(url)
    return parse(parts.path, f"?{parts.query}" if parts.query else "", KNOWN)


@given(views)
def test_the_url_of_a_view_restores_it(view):
    assert opened(view.url()) == (view, [])


@given(st.text(max_size=60), st.text(max_size=200))
def test_no_url_is_an_error(path, search):
    view, _ = parse(path, search, KNOWN)
    assert opened(view.url()) == (view, [])


def test_defaults_are_left_out():
    assert ViewState(page="overview").url() == "/overview"
    assert ViewState(page="timeline").url(step=3, theme="dark") == "/timeline?step=3&theme=dark"


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("?runs=../../etc/passwd", "runs=../../etc/passwd: the runs here are dualpipe, 1f1b"),
        ("?baseline=nobody", "baseline=nobody: the runs here are"),
        ("?step=minus", "step=minus: not a number"),
        ("?step=٣", "step=٣: not a number"),
        ("?t=9-3", "t=9-3: not a time range"),
        ("?t=5", "t=5: not a time range"),
        ("?ranks=0-999999999", "ranks=0-999999999: numbers go from 0 to 65535"),
        ("?ranks=a", "ranks=a: write numbers and ranges"),
        ("?color=red", "color=red: one of operation, kind, component"),
        ("?theme=<script>", "theme=<script>: one of light, dark"),
        ("?select=bubble:nobody:0:0:0", "select=bubble:nobody:0:0:0: the runs here are"),
        ("?select=file:1f1b:0:0:0", "nothing that can be selected"),
        ("?path=/etc/passwd", "the address has a part 'path' that is not known"),
        ("?o.lanes=none", "lanes=none: not one of its values"),
        ("?o.other=1", "this page has no option 'other'"),
        ("?o.pp=<b>", "pp=<b>: not one of its values"),
        ("?" + "t=1-2&" * 2000, "the address is too long"),
    ],
)
def test_what_is_not_understood_is_said_and_gives_the_default(search, said):
    view, problems = parse("/timeline", search, KNOWN)
    assert view == ViewState(page="timeline")
    assert said in problems[0]
    assert len(problems) == 1


def test_an_unknown_page_is_the_first_one():
    view, problems = parse("/../secret", "", KNOWN)
    assert view == ViewState(page="overview")
    assert problems == ["there is no page '../secret'; this is the first one"]


def triggered(field, was, value):
    import json

    return {"prop_id": json.dumps(control_id(field, was)) + ".value", "value": value}


def test_a_control_changes_its_field():
    view = ViewState(page="timeline", step=3, options={"lanes": "streams"})
    events = [triggered("color", "operation", "kind"), triggered("runs", "", ["1f1b", "run-2"])]
    expected = ViewState(
        page="timeline", step=3, options={"lanes": "streams"}, color="kind", runs=("1f1b", "run-2")
    )
    assert changed(view, events, KNOWN) == (expected, [])


def test_a_control_that_is_drawn_changes_nothing():
    view = ViewState(page="timeline", step=3)
    events = [triggered("step", 5, 5), triggered("runs", RUNS, list(RUNS))]
    assert changed(view, events, KNOWN) == (view, [])


def test_the_store_changes_many_fields_and_none_that_is_hostile():
    view = ViewState(page="timeline", step=3)
    data = {"t": "10-20", "select": "bubble:1f1b:2:15:0", "count": 7, "runs": "../x", "theme": None}
    new, problems = changed(view, [{"prop_id": "change.data", "value": data}], KNOWN)
    assert len(problems) == 1
    assert "the runs here are" in problems[0]
    assert new == ViewState(
        page="timeline", step=3, time_range=(10, 20), select=Selection("bubble", "1f1b", 2, 15)
    )


def test_another_page_begins_with_its_own_options():
    view = ViewState(page="timeline", step=3, options={"lanes": "streams"})
    event = {"prop_id": "change.data", "value": {"page": "overview"}}
    assert changed(view, [event], KNOWN) == (ViewState(page="overview", step=3), [])


@pytest.mark.parametrize("prop_id", ["nonsense.value", '{"type":"view"}.value', ".value", ""])
def test_events_of_other_components_are_passed_over(prop_id):
    view = ViewState(page="timeline")
    assert changed(view, [{"prop_id": prop_id, "value": "x"}], KNOWN) == (view, [])


def test_a_page_may_be_written_with_a_hyphen():
    known = Known({"overview": {}, "critical_path": {}}, RUNS)
    assert parse("/critical-path", "", known) == (ViewState(page="critical_path"), [])
