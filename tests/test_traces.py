"""The sample runs say what their golden metrics say, by value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof import cli

TRACES = Path(__file__).parent.parent / "traces"
GOLDEN = json.loads((TRACES / "golden.json").read_text())


def _analyze(name, tmp_path):
    target = tmp_path / "report.json"
    assert cli.run(["analyze", str(TRACES / name), "-o", str(target)]) == 0
    return json.loads(target.read_text())


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_sample_runs_have_their_golden_metrics(name, tmp_path):
    report = _analyze(name, tmp_path)
    assert {key: report[key] for key in GOLDEN[name]} == GOLDEN[name]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_states_of_every_rank_add_up_to_the_window(name, tmp_path):
    report = _analyze(name, tmp_path)
    for rank in report["ranks"]:
        assert sum(rank["states_ns"].values()) == rank["window_ns"] == report["window_ns"]
    bubbles = {
        rank["rank"]: sum(ns for state, ns in rank["states_ns"].items() if "bubble." in state)
        for rank in report["ranks"]
    }
    regions = dict.fromkeys(bubbles, 0)
    for region in report["regions"]:
        regions[region["rank"]] += region["end_ns"] - region["start_ns"]
    assert regions == bubbles


def test_dualpipe_idles_less_than_1f1b_and_holds_more():
    dualpipe, baseline = GOLDEN["dualpipe"], GOLDEN["1f1b"]
    assert dualpipe["source"] == baseline["source"] == "emulated"
    assert dualpipe["total"]["bubble_share"] < baseline["total"]["bubble_share"]
    assert dualpipe["total"]["hidden_share"] > baseline["total"]["hidden_share"]
    peaks = [
        max(rank["memory"]["peak_allocated_bytes"] for rank in run["ranks"])
        for run in (dualpipe, baseline)
    ]
    assert peaks[0] > peaks[1]
