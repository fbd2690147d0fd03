"""Search in the timeline against a plain look through the tables."""

from __future__ import annotations

import pytest

from dpprof.dashboards.timeline.find import matches
from dpprof.dashboards.timeline.hit_test import hit_of
from dpprof.dashboards.timeline.interaction import act
from dpprof.dashboards.timeline.scene import Wanted, make_scene
from dpprof.dashboards.timeline.tooltips import title_of
from dpprof.dashboards.view.state import Selection


@pytest.fixture(scope="module")
def scene(library):
    return make_scene(library, [library.get(id) for id in library.ids], Wanted())


def titles(library, scene, text):
    found = matches(library, scene, text)
    selections = [found.selection(library, scene, number) for number in range(len(found))]
    return [title_of(hit_of(library, scene, one)) for one in selections]


def test_activities_are_found_by_part_of_their_name(library, scene):
    expected = 0
    for one in scene.runs:
        events = one.run.run.events
        shown = events[events["step"] == one.step]
        expected += int(
            shown["name"].astype(str).str.lower().str.contains("mlp(w", regex=False).sum()
        )
    assert expected > 10
    assert titles(library, scene, " MLP(w ") == ["mlp(W)"] * expected


def test_slots_are_found_in_order_of_time(library, scene):
    found = matches(library, scene, "F0.1")
    starts = found.starts.tolist()
    assert starts == sorted(starts)
    slots = [name for name in titles(library, scene, "F0.1") if name.startswith("slot")]
    expected = sum(
        int(
            (
                one.run.run.slots.query(f"step == {one.step}")["slot"]
                .astype(str)
                .str.contains("F0.1", regex=False)
            ).sum()
        )
        for one in scene.runs
    )
    assert len(slots) == expected > 0


def test_bubbles_are_found_by_the_words_of_their_cause(library, scene):
    found = titles(library, scene, "waiting for a peer")
    regions = [
        one.run.accounting.regions.query(f"step == {one.step} and state == 'bubble.dependency'")
        for one in scene.runs
    ]
    assert found == ["bubble: dependency"] * sum(map(len, regions))


def test_a_rank_is_found_where_it_begins(library, scene):
    found = matches(library, scene, "rank 1")
    assert len(found) == len(scene.runs)
    assert found.ranks.tolist() == [1] * len(scene.runs)
    assert len(matches(library, scene, "rank 77")) == 0


def test_what_is_not_there_is_not_found(library, scene):
    assert len(matches(library, scene, "no such thing")) == 0
    assert len(matches(library, scene, "  ")) == 0


def test_every_match_knows_its_place(library, scene):
    found = matches(library, scene, "dispatch")
    for place in range(0, len(found), 7):
        selection = found.selection(library, scene, place)
        assert found.place(library, scene, selection) == place
    other = Selection("bubble", scene.runs[0].run.id, 0, 17)
    assert found.place(library, scene, other) == -1
    assert found.place(library, scene, None) == -1


def test_next_and_previous_go_through_all_matches_and_around(library, make_context, scene):
    found = matches(library, scene, "combine")
    context = make_context(page="timeline")
    first = act(context, scene, {"act": "find", "text": "combine", "by": 1})
    assert first["find"] == "combine"
    assert first["select"] == str(found.selection(library, scene, 0))
    at_last = make_context(page="timeline", select=found.selection(library, scene, len(found) - 1))
    again = act(at_last, scene, {"act": "find", "text": "combine", "by": 1})
    assert again["select"] == first["select"]
    back = act(at_last, scene, {"act": "find", "text": "combine", "by": -1})
    assert back["select"] == str(found.selection(library, scene, len(found) - 2))
    assert act(context, scene, {"act": "find", "text": "zzz", "by": 1}) == {"find": "zzz"}


@pytest.mark.parametrize("word", ["longest", "Slowest"])
def test_the_longest_activity_of_a_kind_comes_first(library, scene, word):
    found = matches(library, scene, f"{word} dispatch")
    assert len(found) > 10
    lengths, kinds = [], set()
    for number in range(len(found)):
        hit = hit_of(library, scene, found.selection(library, scene, number))
        lengths.append(hit.end_ns - hit.start_ns)
        kinds.add(str(hit.values["kind"]))
    assert lengths == sorted(lengths, reverse=True)
    assert kinds == {"dispatch"}
    events = [one.run.run.events.query(f"step == {one.step}") for one in scene.runs]
    own = [one[one["kind"] == "dispatch"] for one in events]
    assert lengths[0] == max(int((one["end_ns"] - one["start_ns"]).max()) for one in own)


def test_the_longest_bubble_is_found_where_no_activity_is_called_so(library, scene):
    found = matches(library, scene, "longest waiting for a peer")
    assert len(found) > 1
    hits = [hit_of(library, scene, found.selection(library, scene, number)) for number in range(2)]
    lengths = [hit.end_ns - hit.start_ns for hit in hits]
    assert lengths[0] >= lengths[1]
