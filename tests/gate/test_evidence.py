"""A gate on figures that lack evidence: it cannot tell, and does not pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpprof.evidence.evidence import DEVICE_TIME, Evidence
from dpprof.gate.files import read_baseline, write_baseline
from dpprof.gate.gate import Baseline, gate
from dpprof.reporters.gate.render import render_gate

LOST = Evidence("lost-kernels", 2, 9, (1,), DEVICE_TIME, "rank1.json: 2 of 9 launches, no kernel")
MS = 10**6


@pytest.fixture
def run(make_snapshot):
    figures = {"bubble_share": 0.12, "bubble_ns": 120 * MS}
    return make_snapshot(figures, {"bubble_ns": [MS, MS]}, evidence=[LOST])


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("bubble_share > 50%", "cannot_tell"),
        ("bubble_share > 1%", "cannot_tell"),
        ("hidden_share < 5%", "cannot_tell"),  # not known for lack of evidence
        ("step_ns > 2s", "passed"),
        ("step_ns > 1ms", "failed"),
        ("rank0.bubble_ns > 1s", "passed"),
        ("rank1.bubble_ns > 1s", "cannot_tell"),
        ("ranks == 2", "passed"),
    ],
)
def test_a_rule_on_a_figure_that_lacks_evidence_cannot_tell(run, rule: str, status: str) -> None:
    result = gate(run, [rule])
    assert result.rules[0].status == status
    assert result.passed is (status == "passed")
    assert result.cannot_tell is (status == "cannot_tell")


def test_a_limit_that_is_broken_counts_before_one_that_cannot_be_told(run) -> None:
    result = gate(run, ["step_ns > 1ms", "bubble_share > 50%"])
    assert not result.passed
    assert not result.cannot_tell


def test_missing_evidence_can_be_let_through_and_is_said(run) -> None:
    result = gate(run, ["bubble_share > 50%", "hidden_share < 5%"], allow_missing=True)
    assert [one.status for one in result.rules] == ["passed", "skipped"]
    assert result.passed
    text = render_gate(result, "table")
    assert "let through without evidence: rank1.json: 2 of 9 launches" in " ".join(text.split())


def test_what_the_baseline_lacks_counts_too(run, make_snapshot, tmp_path: Path) -> None:
    write_baseline(tmp_path / "base.json", run)
    base = Baseline(name="base", snapshot=read_baseline(tmp_path / "base.json"))
    now = make_snapshot({"bubble_share": 0.12, "bubble_ns": 120 * MS}, {"bubble_ns": [MS, MS]})
    result = gate(now, ["bubble_ns > +3%", "step_ns > +2%"], base)
    assert [one.status for one in result.rules] == ["cannot_tell", "passed"]
    assert result.cannot_tell
    assert "in the baseline: rank1.json" in result.rules[0].checks[0].reason


@pytest.mark.parametrize("format", ["table", "markdown", "html", "github", "junit"])
def test_every_format_says_that_it_cannot_tell(run, format: str) -> None:
    text = render_gate(gate(run, ["bubble_share > 50%"]), format)
    assert "CANNOT TELL" in text
    assert "PASSED" not in text
    assert "2 of 9 launches" in text


def test_json_has_the_verdict_and_the_evidence(run) -> None:
    found = json.loads(render_gate(gate(run, ["bubble_share > 50%"]), "json"))
    assert found["cannot_tell"]
    assert not found["passed"]
    assert found["evidence"][0]["check"] == "lost-kernels"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("wait_ns > 10ms", "failed"),  # broken by what is known
        ("wait_ns > 25ms", "cannot_tell"),  # 20 ms are known, and 10 ms may have been waiting
        ("wait_ns > 31ms", "passed"),  # however much of them was
        ("wait_ns < 15ms", "passed"),
        ("wait_ns < 25ms", "cannot_tell"),
        ("wait_ns < 31ms", "failed"),
        ("bubble_share > 10%", "failed"),
        ("bubble_share > 12.5%", "cannot_tell"),
        ("bubble_share > 14%", "passed"),
        ("any.p2p.wait_ns > 1ms", "cannot_tell"),  # none of it is known on rank 1
        ("any.all_reduce.wait_ns > 1ms", "passed"),
        ("step_ns > 2s", "passed"),
    ],
)
def test_a_rule_on_what_is_known_in_part_is_decided_where_the_rest_cannot_change_it(
    make_snapshot, rule: str, status: str
) -> None:
    job = {
        "wait_ns": 20 * MS,
        "unsplit_ns": 10 * MS,
        "exposed_ns": 300 * MS,
        "bubble_share": 0.12,
        "bubble_ns": 120 * MS,
    }
    ranks = {
        "p2p.wait_ns": [MS // 2, None],
        "p2p.unsplit_ns": [0, 20 * MS],
        "all_reduce.wait_ns": [0, MS // 2],
        "all_reduce.unsplit_ns": [0, 0],
    }
    run = make_snapshot(job, ranks)
    assert gate(run, [rule]).rules[0].status == status
    if status == "cannot_tell":
        text = " ".join(render_gate(gate(run, [rule]), "table").split())
        assert "not matched with the peers' and may have been waiting" in text
