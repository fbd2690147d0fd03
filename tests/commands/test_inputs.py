"""No verb writes over what it reads, whatever names it and however it is forced."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dpprof import cli

TRACES = Path(__file__).parents[2] / "traces"
RULE = ("--fail-if", "bubble_share > 90%")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, a baseline, schedules, costs, a configuration, and links to some."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(TRACES / "1f1b", tmp_path / "run")
    assert cli.run(["baseline", "save", "run", "-o", "base.json"]) == 0
    schedule = ["schedule", "gpipe", "--pp", "2", "--micro-batches", "4", "--format", "json"]
    assert cli.run([*schedule, "-o", "plan.json"]) == 0
    shutil.copy(Path(cli.__file__).parent / "costs" / "unit.json", tmp_path / "costs.json")
    (tmp_path / "dpprof.toml").write_text('[gate]\nbaseline = "configured.json"\n')
    shutil.copy("base.json", "configured.json")
    (tmp_path / "link.json").symlink_to("base.json")
    os.link("base.json", "hard.json")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


SIMULATE = ("simulate", "plan.json", "--pp", "2", "--micro-batches", "4", "--costs", "costs.json")


@pytest.mark.parametrize(
    "command",
    [
        ("gate", "run", "--baseline", "base.json", "--report", "base.json"),
        ("gate", "run", "--baseline", "base.json", "--report", "./run/../base.json"),
        ("gate", "run", "--baseline", "base.json", "--report", "link.json"),
        ("gate", "run", "--baseline", "link.json", "--report", "base.json"),
        ("gate", "run", "--baseline", "base.json", "--report", "hard.json"),
        ("gate", "run", "--baseline", "base.json", "--report", "run/run.json"),
        ("gate", "run", "--baseline", "base.json", "--report", "run/rank0.json.gz"),
        ("gate", "run", "--report", "configured.json"),
        ("gate", "run", *RULE, "-o", "dpprof.toml"),
        ("gate", "run/rank*.json.gz", *RULE, "-o", "run/rank1.json.gz"),
        ("gate", "0=run/rank0.json.gz,1=run/rank1.json.gz", *RULE, "-o", "run/rank1.json.gz"),
        ("analyze", "run", "-o", "run/run.json"),
        ("analyze", "run/run.json", "-o", "run/run.json"),
        ("analyze", "run/rank0.json.gz", "-o", "run/rank0.json.gz"),
        ("analyze", "run", "--memory-snapshot", "0=base.json", "-o", "base.json"),
        ("diff", "run", "run", "-o", "run/rank0.json.gz"),
        ("baseline", "save", "run", "-o", "run/run.json"),
        ("baseline", "show", "base.json", "-o", "base.json"),
        ("schedule", "plan.json", "--pp", "2", "--micro-batches", "4", "-o", "plan.json"),
        (*SIMULATE, "-o", "plan.json"),
        (*SIMULATE, "-o", "costs.json"),
        ("export", "run", "--to", "perfetto", "-o", "run/rank0.json.gz"),
        ("export", "run", "--to", "csv", "-o", "run"),
        ("export", "run", "--to", "csv", "-o", "."),
        ("export", "run", "--to", "html", "-o", "run/run.json"),
    ],
)
def test_an_input_is_never_overwritten(place: Path, capsys, command: tuple[str, ...]) -> None:
    before = content(place)
    for more in ((), ("--force",)):
        assert cli.run([*command, *more]) == 2
        said = capsys.readouterr().err
        assert "is an input" in said or (not more and "exists already" in said)
        assert content(place) == before
    assert "is an input" in said


def test_a_report_of_a_gate_follows_force(place: Path, capsys) -> None:
    command = ["gate", "run", *RULE, "--report", "gate.json"]
    assert cli.run(command) == 0
    before = content(place)
    assert cli.run(command) == 2
    assert "exists already; choose another file or add --force" in capsys.readouterr().err
    assert content(place) == before
    assert cli.run([*command, "--force"]) == 0


def test_a_summary_is_not_added_to_an_input(place: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "base.json")
    before = content(place)
    assert cli.run(["gate", "run", "--baseline", "base.json"]) == 0
    assert content(place) == before
    assert "is an input, so no summary is added" in capsys.readouterr().err


def test_other_files_in_the_folder_of_a_run_may_be_written(place: Path) -> None:
    assert cli.run(["analyze", "run", "-o", "run/report.md"]) == 0
    assert cli.run(["analyze", "run", "-o", "run/report.md", "--force"]) == 0
