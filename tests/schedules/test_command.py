"""``dpprof schedule`` as its users call it: results, errors and exit codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dpprof.cli import run
from dpprof.schedules.form import schedule_from_json, schedule_to_json
from dpprof.schedules.registry import make_schedule, schedule_names

SIZES = ["--pp", "4", "--micro-batches", "8"]


def test_the_grid_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "dualpipe", *SIZES]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("dualpipe: 4 ranks, 8 micro-batches (4 each way)\n\ntime   0    1 ")
    assert out.endswith("Chunks in flight at most, by rank: 5 5 5 5\n")
    assert err == ""
    assert "\x1b" not in out


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "dualpipe", *SIZES, "--format", "json"]) == 0
    form = json.loads(capsys.readouterr().out)
    assert list(form) == ["schedule", "pp", "micro_batches", "ranks", "stages", "streams"]
    assert schedule_from_json(form) == make_schedule("dualpipe", 4, 8)


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["schedule", "zbv", "--pp", "2", "--micro-batches", "3", "--format", "markdown"]) == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("## zbv: 2 ranks, 3 micro-batches\n\n```text\ntime   0 ")
    assert out.endswith("| 0 | 0, 3 | 18 | 4 |\n| 1 | 1, 2 | 18 | 4 |\n")


def test_the_output_file_picks_the_format_and_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dualpipe.json"
    assert run(["schedule", "dualpipe", *SIZES, "-o", str(path)]) == 0
    assert capsys.readouterr() == ("", f"Wrote {path}\n")
    assert run(["schedule", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert run(["schedule", "dualpipe", *SIZES, "-o", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_sizes_that_contradict_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps(schedule_to_json(make_schedule("1f1b", 4, 8))))
    assert run(["schedule", str(path), *SIZES]) == 0
    capsys.readouterr()
    assert run(["schedule", str(path), "--pp", "8"]) == 2
    assert "schedule.json: has --pp 4, not 8; leave --pp out" in capsys.readouterr().err


def test_a_file_with_a_deadlock_shows_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = make_schedule("1f1b", 2, 2)
    swapped = (
        schedule.ranks[0],
        (schedule.ranks[1][1], schedule.ranks[1][0], *schedule.ranks[1][2:]),
    )
    path = tmp_path / "swapped.json"
    path.write_text(json.dumps(schedule_to_json(dataclasses.replace(schedule, ranks=swapped))))
    assert run(["schedule", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "swapped.json: schedule 1f1b: rank 1: B0.0 comes before F0.0" in err
    assert "rank   1 from slot    0: >B0.0< F0.0 F0.1 B0.1" in err


def test_without_a_name_the_schedules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == list(schedule_names())


def test_an_unknown_name_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "nonsense", *SIZES]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()[1:]] == list(schedule_names())


def test_the_size_that_an_error_proposes_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "dualpipe", "--pp", "16", "--micro-batches", "3"]) == 2
    proposed = capsys.readouterr().err.strip().rpartition("choose ")[2]
    assert run(["schedule", "dualpipe", "--pp", "16", "--micro-batches", proposed]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dualpipe"], "dualpipe: give --pp and --micro-batches"),
        (["dualpipe", "--pp", "3", "--micro-batches", "8"], "the number of ranks must be even"),
        (["dualpipe", "--pp", "4", "--micro-batches", "6"], "two micro-batches per rank"),
        (["interleaved-1f1b", "--pp", "4", "--micro-batches", "6"], "choose a multiple of 4"),
        (["1f1b", "--pp", "0", "--micro-batches", "8"], "0 is not in the range"),
        (["1f1b", "--pp", "two", "--micro-batches", "8"], "'two' is not a valid integer"),
        (["gone.json"], "gone.json: cannot be read"),
    ],
)
def test_wrong_use_is_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schedule", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err


def test_help_lists_the_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {name} " in out for name in schedule_names())


def test_colour_only_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run(["schedule", "1f1b", *SIZES]) == 0
    assert "\x1b[48;5;222mF0.0\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["schedule", "1f1b", *SIZES]) == 0
    assert "\x1b" not in capsys.readouterr().out
