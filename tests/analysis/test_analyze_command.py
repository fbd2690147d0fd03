"""``dpprof analyze`` from the command line, on traces of a few events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof.cli import run
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run


def write_trace(file: Path, rank: int, kernels: list[tuple[str, int, int]]) -> Path:
    events = [
        {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": start, "dur": length}
        for name, start, length in kernels
    ]
    file.write_text(
        json.dumps(
            {
                "schemaVersion": 1,
                "distributedInfo": {"rank": rank, "world_size": 2},
                "traceEvents": events,
            }
        )
    )
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_trace(tmp_path / "rank0.json", 0, [("gemm", 0, 30)])
    write_trace(tmp_path / "rank1.json", 1, [("gemm", 10, 30)])
    return tmp_path


def analyze(*arguments: object) -> int:
    return run(["analyze", *map(str, arguments)])


def test_json_on_stdout(folder: Path, capsys) -> None:
    assert analyze(folder, "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["window_ns"] == 40_000
    assert [rank["states_ns"]["compute_only"] for rank in report["ranks"]] == [30_000, 30_000]
    assert report["ranks"][0]["states_ns"]["bubble.cooldown"] == 10_000
    assert report["ranks"][1]["states_ns"]["bubble.warmup"] == 10_000


def test_several_runs_are_compared(folder: Path, capsys) -> None:
    assert analyze(folder / "rank0.json", folder / "rank1.json", "--format", "json") == 0
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["schema_version"] == 2
    assert [run["window_ns"] for run in comparison["runs"]] == [30_000, 30_000]
    assert analyze(folder / "rank0.json", folder) == 0
    assert "ratios are to" in capsys.readouterr().out


def test_a_folder_of_run_folders_is_a_comparison_with_the_usual_baseline(
    tmp_path: Path, capsys
) -> None:
    manifest = {
        "schema_version": 1,
        "source": "captured",
        "schedule": None,
        "device": "cpu",
        "world_size": 1,
        "ranks": [{"rank": 0, "pp_rank": 0}],
    }
    for number, name in enumerate(("1f1b", "dualpipe")):
        place = tmp_path / name
        place.mkdir()
        (place / "run.json").write_text(json.dumps(manifest))
        write_trace(place / "rank0.json", 0, [("gemm", 0, 10 + number)])
    assert analyze(tmp_path, "--format", "json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["name"], run["window_ns"]) for run in runs] == [
        ("dualpipe", 11_000),
        ("1f1b", 10_000),
    ]


def test_the_ending_of_the_file_picks_the_format_and_nothing_is_overwritten(
    folder: Path, tmp_path: Path, capsys
) -> None:
    target = tmp_path / "report.md"
    assert analyze(folder, "-o", target) == 0
    assert target.read_text().startswith(f"# {folder.name}")
    assert "Wrote" in capsys.readouterr().err
    assert analyze(folder, "-o", target) == 2
    assert "add --force" in capsys.readouterr().err
    assert analyze(folder, "-o", target, "--force") == 0


@pytest.mark.parametrize("arguments", [["nowhere"], [], ["x", "--format", "xml"]])
def test_wrong_use_is_exit_code_2(arguments: list[str], capsys) -> None:
    assert analyze(*arguments) == 2
    assert capsys.readouterr().out == ""


def test_steps_need_marks(folder: Path, capsys) -> None:
    assert analyze(folder, "--steps", "3-5") == 2
    assert "--steps 3-5" in capsys.readouterr().err


def test_warnings_are_on_stderr_too_where_the_report_is_elsewhere(
    folder: Path, tmp_path: Path, capsys
) -> None:
    said = "warning: the trace marks no steps"
    assert analyze(folder) == 0
    assert said not in capsys.readouterr().err
    assert analyze(folder, "--format", "json") == 0
    shown = capsys.readouterr()
    assert said in shown.err
    assert said.removeprefix("warning: ") in json.loads(shown.out)["warnings"][0]
    assert analyze(folder, folder, "-o", tmp_path / "two.md") == 0
    assert capsys.readouterr().err.count(f"{folder.name}: the trace marks no steps") == 2


def test_a_manifest_stands_for_its_folder(tmp_path: Path, capsys) -> None:
    manifest = {"schema_version": 1, "source": "captured", "schedule": None, "device": "cpu"}
    manifest |= {"world_size": 1, "ranks": [{"rank": 0, "pp_rank": 0}]}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    write_trace(tmp_path / "rank0.json", 0, [("gemm", 0, 10)])
    assert analyze(tmp_path / "run.json", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["name"], report["window_ns"]) == (tmp_path.name, 10_000)


def test_folders_of_traces_in_a_folder_are_runs_and_it_is_said(tmp_path: Path, capsys) -> None:
    for rank, name in enumerate(("node0", "node1")):
        (tmp_path / name).mkdir()
        write_trace(tmp_path / name / f"rank{rank}.json", rank, [("gemm", 0, 10 + rank)])
    (tmp_path / "notes").mkdir()
    assert analyze(tmp_path, "--format", "json") == 0
    shown = capsys.readouterr()
    runs = json.loads(shown.out)["runs"]
    assert [run["name"] for run in runs] == ["node0", "node1"]
    assert "holds traces only in its folders node0, node1: each is taken as a run" in shown.err
    assert analyze(f"{tmp_path}/*/*.json*", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)["ranks"]) == 2
    with pytest.raises(DpprofError, match=r"only in its folders node0, node1; give one of them"):
        load_run(tmp_path)


def test_a_model_of_more_stages_than_ranks_is_warned_of(capsys) -> None:
    arguments = ["--pp", "2", "--micro-batches", "4", "--format", "json"]
    for name, warned in (("zbv", True), ("dualpipe", False), ("1f1b", False)):
        assert run(["simulate", name, *arguments]) == 0
        shown = capsys.readouterr()
        assert ("the model is 2 times that of a schedule with 2 stages" in shown.err) is warned


def test_a_baseline_is_the_run_that_the_others_are_compared_with(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c")):
        (tmp_path / name).mkdir()
        write_trace(tmp_path / name / "rank0.json", 0, [("gemm", 0, 10 + number)])
    runs, target = [tmp_path / name for name in "abc"], tmp_path / "out.json"
    assert analyze(*runs, "--baseline", runs[0], "-o", target) == 0
    report = json.loads(target.read_text())
    assert [run["name"] for run in report["runs"]] == ["b", "c", "a"]
