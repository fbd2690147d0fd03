"""Kernels that communicate and compute in one, in reports, diffs, gates and exposed intervals."""

from __future__ import annotations

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.report.analyze import analyze
from dpprof.dashboards.view.theme import KIND_COLORS, STATE_COLORS
from dpprof.export.exposed import exposed_intervals
from dpprof.gate.samples import job_samples, unclaimed
from dpprof.reporters import render
from dpprof.tables.kinds import KINDS, STATES


@pytest.fixture
def runs(make_run, event):
    def run(length):
        return make_run(
            [
                event(0, 0, length * 1000, "fused", name="gemm_rs_kernel"),
                event(0, 50_000, 60_000, "all_reduce", name="ncclAllReduce"),
                event(0, 55_000, 80_000, name="gemm"),
            ]
        )

    return run(30), run(45)


def test_the_report_shows_its_time_and_claims_no_share(runs) -> None:
    report = analyze(runs[0])
    assert report.total.states_ns["fused"] == 30_000
    text = render(report, "table")
    assert "fused" in text.split("bubble")[0]
    assert "fused" + " " * 5 in text[text.index("Communication by kind") :]
    assert "hidden share: n/a, fused: communication and computing in one kernel" in text
    samples = job_samples(report)
    assert samples["fused_ns"] == [30_000]
    assert samples["fused_share"] == [30_000 / 80_000]
    assert "hidden_share" not in samples
    assert unclaimed(report.total)["hidden_share"].startswith("fused: ")


def test_without_any_nothing_is_said_of_it(make_run, event) -> None:
    assert "fused" not in render(analyze(make_run([event(0, 0, 10)])), "table")


def test_a_change_of_fused_kernels_is_a_part_of_the_step(runs) -> None:
    found = diff_runs(*runs)
    parts = {part.name: part.change_ns for part in found.time.parts}
    assert parts["fused"] == 15_000
    assert sum(parts.values()) == found.time.change_ns == 0


def test_exposed_is_only_what_no_kernel_computes_beside(make_run, event) -> None:
    events = make_run([event(0, 0, 30, "fused"), event(0, 20, 40, "all_reduce")]).events
    found = exposed_intervals(events)["all_reduce"]
    assert (found.starts.tolist(), found.ends.tolist()) == ([30], [40])


def test_every_kind_and_state_has_a_colour() -> None:
    assert set(KINDS) <= set(KIND_COLORS)
    assert set(STATES) <= set(STATE_COLORS)
    assert "exposed.fused" not in STATE_COLORS
