"""Inputs with bad bytes, endless nesting or of the wrong kind end with exit code 2, by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dpprof import cli

TRACES = Path(__file__).parents[1] / "traces"
DEEP = 60_000
RULE = ("--fail-if", "bubble_share > 90%")


def _manifest(**changes: object) -> bytes:
    plain = json.loads((TRACES / "1f1b" / "run.json").read_bytes())
    return json.dumps(plain | changes).encode()


def _ranks(**changes: object) -> bytes:
    ranks = json.loads((TRACES / "1f1b" / "run.json").read_bytes())["ranks"]
    return _manifest(ranks=[ranks[0] | changes, *ranks[1:]])


BAD = {
    "nothing": b"",
    "one bad byte": b'{"source": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nested lists": b"[" * DEEP,
    "nested and closed": b"[" * DEEP + b"]" * DEEP,
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "half a pair": rb'{"source": "\ud800"}',
    "cut off": b'{"source": "captu',
    "zeros": bytes(1000),
    "a long number": b'{"a": ' + b"9" * 5001 + b"}",
}


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TRACES / "1f1b", tmp_path / "run")
    return tmp_path


def refused(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(arguments)
    said = capsys.readouterr().err
    assert (code, "bug in dpprof" in said, named in said) == (2, False, True), said


SIMULATE = ["simulate", "1f1b", "--pp", "2", "--micro-batches", "4", "--costs"]
COMMANDS = {
    "run/run.json": ["analyze", "run"],
    "base.json": ["gate", "run", "--baseline", "base.json"],
    "plan.json": ["schedule", "plan.json"],
    "costs.json": [*SIMULATE, "costs.json"],
    "costs.toml": [*SIMULATE, "costs.toml"],
    "rank0.pickle": ["analyze", "run", "--memory-snapshot", "0=rank0.pickle"],
}


@pytest.mark.parametrize("file", COMMANDS)
@pytest.mark.parametrize("content", BAD)
def test_bad_content_is_refused(place: Path, capsys, file: str, content: str) -> None:
    (place / file).write_bytes(BAD[content])
    refused(COMMANDS[file], Path(file).stem, capsys)


@pytest.mark.parametrize("file", ["run/run.json", "base.json", "rank0.pickle"])
@pytest.mark.parametrize("make", [pipe, loop, folder, endless])
def test_what_is_no_file_is_refused(
    place: Path, capsys, file: str, make: Callable[[Path], None]
) -> None:
    make(place / file)
    code = cli.run(COMMANDS[file])
    said = capsys.readouterr().err
    if make is loop and file == "run/run.json":  # a link to nowhere is no manifest
        assert code == 0
    else:
        assert (code, "bug in dpprof" in said) == (2, False), said


@pytest.mark.parametrize("name", ["plan.json", "costs.json"])
def test_an_endless_file_is_refused(place: Path, capsys, name: str) -> None:
    endless(place / name)
    refused(COMMANDS[name], "more than", capsys)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_ranks(pp_rank=7), "pp_rank is 7 of 4"),
        (_ranks(pp_rank=-1), "pp_rank is -1 of 4"),
        (_ranks(rank=1), "a rank is there twice"),
        (_ranks(stages=[-1]), "a stage below 0"),
        (_ranks(memory_snapshot="../x.pickle"), "outside the run folder"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    place: Path, capsys, content: bytes, says: str
) -> None:
    (place / "run" / "run.json").write_bytes(content)
    refused(["analyze", "run"], says, capsys)


def test_a_rank_that_holds_no_stage_is_no_bug(place: Path, capsys) -> None:
    pytest.importorskip("dash", reason="Dash is not installed")
    (place / "run" / "run.json").write_bytes(_ranks(stages=[]))
    assert cli.run(["export", "run", "--to", "html", "-o", "x.html"]) == 0
    assert "bug in dpprof" not in capsys.readouterr().err


@pytest.mark.parametrize("content", BAD)
def test_a_bad_configuration_is_refused(place: Path, capsys, content: str) -> None:
    (place / "dpprof.toml").write_bytes(BAD[content])
    code = cli.run(["analyze", "run"])
    assert code == (0 if content == "nothing" else 2)
    assert "bug in dpprof" not in capsys.readouterr().err


def test_a_run_whose_name_is_not_utf8(place: Path, capsysbinary) -> None:
    run = os.fsdecode(b"r\xff")
    (place / "run").rename(place / run)
    for command in (
        ["analyze", run, "--format", "json"],
        ["analyze", run, "--format", "markdown"],
        ["analyze", run],
        ["gate", run, *RULE, "--report", "x.json", "--report", "x.md", "--report", "x.xml"],
        ["gate", run, *RULE, "--format", "json"],
        ["export", run, "--to", "perfetto", "-o", "x.json.gz"],
        ["export", run, "--to", "csv", "-o", "tables"],
        ["baseline", "save", run, "-o", "base.json"],
        ["diff", run, run, "--format", "json"],
    ):
        assert cli.run(command) == 0, capsysbinary.readouterr().err
        assert b"\xff" not in capsysbinary.readouterr().out
    assert json.loads(Path("x.json").read_text())["runs"] == ["r\\udcff"]


def test_no_home(place: Path, monkeypatch, capsys) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "DPPROF_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert cli.run(["analyze", "run"]) == 0
    assert "bug in dpprof" not in capsys.readouterr().err
