"""``dpprof simulate``: labelled, exact, and clear about wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof.cli import run

DEEPSEEK = Path(__file__).parents[3] / "shared" / "data" / "deepseek_train.json.gz"


def simulate(capsys, *arguments):
    code = run(["simulate", *arguments, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_report_is_labelled_and_exact(capsys):
    code, report = simulate(capsys, "dualpipe", "--pp", "8", "--micro-batches", "20")
    assert code == 0
    assert (report["source"], report["schedule"], report["window_ns"]) == (
        "simulated",
        "dualpipe",
        590_000_000,
    )
    bubbles = [
        sum(value for state, value in rank["states_ns"].items() if state.startswith("bubble"))
        for rank in sorted(report["ranks"], key=lambda rank: rank["rank"])
    ]
    assert bubbles == [35e6, 40e6, 45e6, 45e6, 45e6, 45e6, 40e6, 35e6]
    for rank in report["ranks"]:
        assert sum(rank["states_ns"].values()) == rank["window_ns"] == 590_000_000


def test_costs_of_a_file_layers_and_batched_commits(capsys, tmp_path):
    file = tmp_path / "costs.toml"
    file.write_text('name = "mine"\n[operation_ns]\nF = 10\nB = 20\n[message]\nlatency_ns = 5\n')
    sizes = ("1f1b", "--pp", "2", "--micro-batches", "2", "--costs", str(file))
    # The last backward of rank 0 starts 5 after that of rank 1 ends, at 75, 80 and 215.
    windows = [
        simulate(capsys, *sizes, *more)[1]["window_ns"]
        for more in ((), ("--communication", "batched"), ("--layers", "3"))
    ]
    assert windows == [100, 105, 280]


def test_a_file_is_written_once(capsys, tmp_path):
    target = tmp_path / "report.md"
    arguments = ["simulate", "1f1b", "--pp", "2", "--micro-batches", "4", "-o", str(target)]
    assert run(arguments) == 0
    assert "simulated" in target.read_text().lower()
    assert run(arguments) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.skipif(not DEEPSEEK.exists(), reason=f"{DEEPSEEK} is not there")
def test_costs_of_a_run(capsys):
    sizes = ("dualpipe", "--pp", "4", "--micro-batches", "8")
    _, measured = simulate(capsys, *sizes, "--costs", str(DEEPSEEK))
    _, built_in = simulate(capsys, *sizes, "--costs", "deepseek-v3")
    # The built-in profile differs in its messages only, which the trace does not have.
    for report in (measured, built_in):
        by_kind = report["ranks"][0]["by_kind"]
        assert by_kind["dispatch"]["total_ns"] > 0
    assert measured["window_ns"] < built_in["window_ns"]
    assert measured["ranks"][0]["by_kind"]["combine"] == built_in["ranks"][0]["by_kind"]["combine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dualpipe", "--pp", "5", "--micro-batches", "20"), "even"),
        (("dualpipe", "--pp", "4", "--micro-batches", "2"), "micro-batches"),
        (("fastpipe", "--pp", "4", "--micro-batches", "8"), "fastpipe"),
        (("1f1b", "--pp", "4", "--micro-batches", "8", "--costs", "nowhere"), "unit-components"),
        (("1f1b", "--pp", "4", "--micro-batches", "8", "--layers", "0"), "--layers"),
        (("1f1b", "--pp", "4"), "--micro-batches"),
    ],
)
def test_wrong_use_is_explained(capsys, arguments, message):
    assert run(["simulate", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
