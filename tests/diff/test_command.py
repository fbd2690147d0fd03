"""``dpprof diff`` as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof.cli import run

TRACES = Path(__file__).resolve().parents[2] / "traces"
BASE, NEW = str(TRACES / "1f1b"), str(TRACES / "dualpipe")


def test_json_adds_up_and_is_versioned(capsys):
    assert run(["diff", BASE, NEW, "--format", "json"]) == 0
    out = capsys.readouterr().out
    diff = json.loads(out)
    assert diff["schema_version"] == 2
    assert (diff["base"]["schedule"], diff["new"]["schedule"]) == ("1f1b", "dualpipe")
    assert (diff["base"]["source"], diff["steps"], diff["rank_count"]) == ("emulated", 2, 4)
    assert sum(part["change_ns"] for part in diff["time"]["parts"]) == diff["time"]["change_ns"]
    assert sum(rank["time"]["change_ns"] for rank in diff["ranks"]) == diff["time"]["change_ns"]


@pytest.mark.parametrize("ending", ["md", "html", "json", "txt"])
def test_the_ending_of_the_file_picks_the_format(tmp_path, capsys, ending):
    file = tmp_path / f"diff.{ending}"
    assert run(["diff", BASE, NEW, "--steps", "2", "-o", str(file)]) == 0
    assert f"Wrote {file}" in capsys.readouterr().err
    start = {"md": "# 1f1b", "html": "<!doctype html>", "json": "{", "txt": "1f1b -> dualpipe"}
    assert file.read_text().startswith(start[ending])
    assert run(["diff", BASE, NEW, "-o", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_either_side_may_be_simulated(capsys):
    assert run(["diff", "simulated", NEW, "--format", "json"]) == 0
    ideal = json.loads(capsys.readouterr().out)
    assert (ideal["base"]["source"], ideal["new"]["source"]) == ("simulated", "emulated")
    assert ideal["base"]["name"] == "simulated dualpipe"
    assert ideal["base"]["schedule"] == "dualpipe"
    assert run(["diff", BASE, "simulated:zb1p", "--format", "json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert (other["new"]["source"], other["new"]["schedule"]) == ("simulated", "zb1p")
    assert [part["name"] for part in other["work"]["parts"]] == ["same work"]


def test_another_schedule_cuts_the_same_model(capsys):
    """Four stages of two layers are eight of one on the same ranks."""
    assert run(["diff", BASE, "simulated:dualpipev", "--format", "json"]) == 0
    diff = json.loads(capsys.readouterr().out)
    assert diff["notes"] == ["the model is cut into 4 and 8 stages: layers are numbered through it"]
    assert [part["name"] for part in diff["work"]["parts"]] == ["same work"]


def test_each_side_may_have_its_own_steps(capsys):
    arguments = ["diff", BASE, NEW, "--base-steps", "3", "--steps", "2", "--format", "json"]
    assert run(arguments) == 0
    diff = json.loads(capsys.readouterr().out)
    assert (diff["base"]["steps"], diff["new"]["steps"], diff["time"]["effect"]) == (1, 1, None)
    assert diff["unknown_effects"].startswith("one step in BASE and NEW")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulated", "simulated:zb1p"], "BASE and NEW are both simulated"),
        ([BASE, "simulated:nonsense"], "no schedule 'nonsense'"),
        ([BASE, "nowhere"], "nowhere"),
        ([BASE, NEW, "--steps", "99"], "99"),
        ([BASE], "NEW"),
    ],
)
def test_wrong_use_is_said_with_exit_code_2(capsys, arguments, words):
    assert run(["diff", *arguments]) == 2
    assert words in capsys.readouterr().err
