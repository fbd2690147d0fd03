"""Baseline files: round trips, old files, files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dpprof.errors import DpprofError
from dpprof.gate.files import baseline_text, is_baseline, read_baseline, write_baseline
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.snapshot import Waiting
from dpprof.statistics.figure import Figure

VERSION_1 = Path(__file__).parent / "baseline_v1.json"
MS = 10**6


@pytest.fixture
def snapshot(make_snapshot):
    return make_snapshot(
        {"bubble_share": Figure(0.12, middle=0.11, step_sd=0.01, run_sd=0.02)},
        {"exposed_ns": [Figure(10 * MS, step_sd=5), Figure(30 * MS, step_sd=7)]},
        waits=[Waiting(rank=0, waits_for=1, bubble_ns=3)],
        missing={"wait_ns": "unsplit"},
    )


def test_a_file_holds_the_snapshot(tmp_path: Path, snapshot) -> None:
    file = tmp_path / "base.json"
    write_baseline(file, snapshot)
    assert read_baseline(file) == snapshot
    assert is_baseline(file)
    assert [path.name for path in tmp_path.iterdir()] == ["base.json"]


def test_a_file_is_for_reviewers(snapshot) -> None:
    text = baseline_text(snapshot)
    lines = text.splitlines()
    figure = '    "bubble_share": {"mean": 0.12, "middle": 0.11, "run_sd": 0.02, "step_sd": 0.01},'
    assert figure in lines
    assert '    "exposed_ns": {"mean": [10000000, 30000000], "step_sd": [5, 7]}' in lines
    plain = json.loads(text)
    assert list(plain) == sorted(plain)
    assert text.endswith("}\n")
    assert max(map(len, lines)) < 120


def test_files_of_the_first_version_keep_loading() -> None:
    """Written by dpprof 0.1.0; never to be made anew."""
    snapshot = read_baseline(VERSION_1)
    assert (snapshot.schema_version, snapshot.identity.schedule) == (1, "dualpipe")
    assert snapshot.job["bubble_share"].mean == 0.113218
    assert snapshot.steps == [5, 5]
    assert gate(snapshot, [], Baseline(name="v1", snapshot=snapshot)).passed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a valid baseline"),
        ("[]", "not a baseline; make one with `dpprof baseline save RUN -o FILE`"),
        ("{}", "not a baseline"),
        ('{"file": "dpprof baseline"}', "not a valid baseline (Object missing required field"),
        ('{"file": "dpprof baseline", "schema_version": 3}', "written by a newer dpprof (schema 3"),
        ('{"file": "dpprof baseline", "steps": 3}', "not a valid baseline"),
    ],
)
def test_what_is_no_baseline_is_told(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "base.json"
    file.write_text(text)
    with pytest.raises(DpprofError) as error:
        read_baseline(file)
    assert str(error.value).startswith(f"{file}: ")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": []}, "has no steps"),
        ({"steps": [0]}, "has no steps"),
        ({"steps": [10**30]}, "has no steps, or more than a run can have"),
        ({"steps": [5, 5]}, "names 1 runs and has steps of 2"),
        ({"steps": [5, 5], "runs": ["a", "b"]}, r"of 2 runs and has no spread of runs \(run_sd\)"),
        ({"steps": [1]}, r"of one step and has a spread of steps"),
        ({"runs": []}, "names 0 runs"),
        ({"schema_version": 0}, "not a valid baseline .schema_version is 0"),
        ({"schema_version": None}, "not a valid baseline"),
        ({"job": {"step_ns": {"mean": 10**400}}}, "job.step_ns: a number of more than 1e.24"),
        ({"job": {"step_ns": {"mean": 1e308, "step_sd": 1e308}}}, "job.step_ns: a number of more"),
        ({"job": {"step_ns": {"mean": 9, "step_sd": -5}}}, "job.step_ns: a spread below 0"),
        ({"job": {"step_ns": {"mean": 0}}}, "step_ns is missing, or no time"),
        ({"places": [{"rank": 99, "pp_rank": 0, "stages": []}] * 2}, "the ranks of places are not"),
        (
            {"ranks": {"exposed_ns": {"mean": [1, 2], "step_sd": [1, -2]}}},
            "ranks.exposed_ns: a spr",
        ),
        ({"ranks": {"exposed_ns": {"mean": [1]}}}, "ranks.exposed_ns: 1 values for 2 ranks"),
        ({"job": {}}, "has no steps"),
        ({"job": {"step_ns": {"mean": "fast"}}}, "not a valid baseline"),
    ],
)
def test_a_file_that_was_changed_by_hand_is_checked(tmp_path, snapshot, change, says) -> None:
    file = tmp_path / "base.json"
    file.write_text(json.dumps(json.loads(baseline_text(snapshot)) | change))
    with pytest.raises(DpprofError, match=says):
        read_baseline(file)


def test_a_file_without_a_schema_version_is_refused(tmp_path: Path, snapshot) -> None:
    plain = json.loads(baseline_text(snapshot))
    del plain["schema_version"]
    file = tmp_path / "base.json"
    file.write_text(json.dumps(plain))
    with pytest.raises(DpprofError, match=r"not a valid baseline \(schema_version is None"):
        read_baseline(file)


def test_long_lists_take_few_lines(snapshot, tmp_path: Path) -> None:
    names = [f"exposed.kind_{number}_ns" for number in range(40)]
    long = msgspec.structs.replace(snapshot, nothing=names)
    text = baseline_text(long)
    assert max(map(len, text.splitlines())) < 120
    assert len(text.splitlines()) < len(baseline_text(snapshot).splitlines()) + 15
    assert json.loads(text)["nothing"] == names


def test_unknown_keys_of_later_files_do_no_harm(tmp_path: Path, snapshot) -> None:
    file = tmp_path / "base.json"
    file.write_text(json.dumps(json.loads(baseline_text(snapshot)) | {"comment": "ours"}))
    assert read_baseline(file) == snapshot


def test_traces_and_missing_files_are_no_baselines(tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    trace.write_text('{"traceEvents": []}')
    assert not is_baseline(trace)
    assert not is_baseline(tmp_path)
    assert not is_baseline(tmp_path / "none.json")
    with pytest.raises(DpprofError, match="cannot be read"):
        read_baseline(tmp_path / "none.json")
