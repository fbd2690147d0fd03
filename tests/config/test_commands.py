"""The verbs take formats, width and patterns from the configuration; options beat it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof.cli import run


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    event = {"ph": "X", "cat": "kernel", "name": "my_exchange", "pid": 0, "tid": 7}
    (tmp_path / "rank0.json").write_text(
        json.dumps({"traceEvents": [{**event, "ts": 0, "dur": 10, "args": {"stream": 7}}]})
    )
    return tmp_path / "rank0.json"


def configure(text: str) -> None:
    Path("dpprof.toml").write_text(text)


def test_format_and_patterns_of_the_file(trace: Path, capsys) -> None:
    configure("[output]\nformat = 'json'\n[[kinds]]\npattern = '^my_exchange'\nkind = 'all_to_all'")
    assert run(["analyze", str(trace)]) == 0
    assert (
        json.loads(capsys.readouterr().out)["total"]["by_kind"]["all_to_all"]["total_ns"] == 10_000
    )
    assert run(["analyze", str(trace), "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# rank0")
    assert run(["analyze", str(trace), "-o", "report.md"]) == 0
    assert Path("report.md").read_text().startswith("# rank0")


def test_a_format_that_a_verb_does_not_have_is_left(trace: Path, capsys) -> None:
    configure("[output]\nformat = 'markdown'")
    assert run(["schedule", "1f1b", "--pp", "2", "--micro-batches", "2"]) == 0
    assert "|" not in capsys.readouterr().out.splitlines()[0]


def test_the_width_of_the_environment(trace: Path, capsys, monkeypatch) -> None:
    widths = {}
    for width in ("60", "160"):
        monkeypatch.setenv("DPPROF_OUTPUT_WIDTH", width)
        assert run(["analyze", str(trace)]) == 0
        widths[width] = max(map(len, capsys.readouterr().out.splitlines()))
    assert widths["60"] <= 60 < widths["160"]


def test_costs_of_a_run_take_the_patterns(trace: Path, capsys, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        "dpprof.trace.load.load_run", lambda path, **options: asked.append(options["patterns"])
    )
    monkeypatch.setattr("dpprof.analysis.costs_from_run.costs_from_run", lambda loaded, name: None)
    configure("[[kinds]]\npattern = 'x'\nkind = 'p2p'")
    from dpprof.commands.simulate import find_costs

    find_costs(str(trace.parent))
    assert [[rule.name for rule in patterns] for patterns in asked] == [["x"]]


def test_wrong_configuration_is_exit_code_2(trace: Path, capsys) -> None:
    configure("[output]\ncolour = 1")
    assert run(["analyze", str(trace)]) == 2
    assert "dpprof.toml: output: unknown key 'colour'" in capsys.readouterr().err
