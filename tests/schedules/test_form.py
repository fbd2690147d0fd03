"""The JSON form reads back identically and is read with distrust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.schedules.form import read_schedule_file, schedule_from_json, schedule_to_json
from dpprof.schedules.registry import make_schedule, schedule_names

SMALL: dict[str, Any] = {
    "schedule": "1f1b",
    "pp": 2,
    "micro_batches": 1,
    "ranks": [["F0.0", "B0.0"], ["F0.0", "B0.0"]],
    "stages": [[0], [1]],
    "streams": [0],
}


def test_the_form_whole() -> None:
    assert schedule_to_json(make_schedule("1f1b", 2, 1)) == SMALL


def test_pairs_and_placement_of_two_directions() -> None:
    assert schedule_to_json(make_schedule("dualpipe", 2, 4)) == {
        "schedule": "dualpipe",
        "pp": 2,
        "micro_batches": 4,
        "ranks": [
            ["F0.0", "F1.0", "F0.1", "B1.0", "F1.1&B0.0", "B1.1", "I0.1", "W0.1"],
            ["F1.0", "F0.0", "F1.1", "B0.0", "F0.1&B1.0", "B0.1", "I1.1", "W1.1"],
        ],
        "stages": [[0, 1], [1, 0]],
        "streams": [0, 1],
    }


@given(st.sampled_from(schedule_names()), st.sampled_from([2, 4, 6]), st.integers(2, 4))
def test_read_back_identically_with_and_without_placement(name: str, pp: int, rounds: int) -> None:
    schedule = make_schedule(name, pp, rounds * pp)
    form = json.loads(json.dumps(schedule_to_json(schedule)))
    assert schedule_from_json(form) == schedule
    del form["stages"], form["streams"]
    assert schedule_from_json(form) == schedule


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pp": 3}, "pp is 3 but ranks has 2 entries"),
        ({"pp": "2"}, r"Expected `int`, got `str` - at `\$.pp`"),
        ({"pp": True}, r"Expected `int`, got `bool` - at `\$.pp`"),
        ({"pp": 0, "ranks": []}, "pp is 0"),
        ({"micro_batches": 0}, "micro_batches is 0"),
        ({"micro_batches": 10**40}, "micro_batches"),
        ({"ranks": [["F0.0", "Q1"], []]}, r"ranks\[0\]\[1\]: 'Q1' is not an action"),
        ({"ranks": [["F0.0&F0.0"], []]}, r"ranks\[0\]\[0\]: .* is not a slot"),
        ({"ranks": [[1], []]}, r"Expected `str`, got `int` - at `\$.ranks\[0\]\[0\]`"),
        ({"ranks": None}, r"Expected `array`, got `null` - at `\$.ranks`"),
        ({"extra": 1}, "unknown field `extra`"),
        ({"stages": None}, "only one of stages and streams"),
        ({"stages": [[0], [7]]}, "stream 0 must pass stages 0 to 1 once each"),
        ({"stages": None, "streams": None, "schedule": "mine"}, "no schedule 'mine'"),
    ],
)
def test_what_is_no_schedule_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DpprofError, match=says):
        schedule_from_json(SMALL | change)


@pytest.mark.parametrize("form", [None, [], "1f1b", 3, {}])
def test_other_json_is_refused(form: object) -> None:
    with pytest.raises(DpprofError, match="not a schedule"):
        schedule_from_json(form)


def test_a_file_is_named_in_every_error(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"schedule": 1}', "\xff"):
        path = tmp_path / "broken.json"
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DpprofError, match=r"broken\.json: not (JSON|a schedule)"):
            read_schedule_file(path)
    with pytest.raises(DpprofError, match=r"gone\.json: cannot be read \(No such file"):
        read_schedule_file(tmp_path / "gone.json")


def test_a_file_reads_back(tmp_path: Path) -> None:
    schedule = make_schedule("zbv", 3, 7)
    path = tmp_path / "zbv.json"
    path.write_text(json.dumps(schedule_to_json(schedule)))
    assert read_schedule_file(path) == schedule
