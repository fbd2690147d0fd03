"""Pages of runs whose traces do not carry some figure: it is n/a, and the page says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from dpprof.analysis.metrics import METRICS
from dpprof.analysis.report.analyze import analyze
from dpprof.analysis.report.side_by_side import compare
from dpprof.dashboards.app.shell import missing_evidence
from dpprof.dashboards.data.bubble_regions import step_regions, with_known_bubbles
from dpprof.dashboards.data.headline import LACKING, headlines
from dpprof.dashboards.data.history import run_entries, trends
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.figures.step_matrix import METRICS as BY_STEP
from dpprof.dashboards.figures.step_matrix import step_matrix
from dpprof.dashboards.pages import bubbles, steps
from dpprof.dashboards.parts.findings import finding_list
from dpprof.dashboards.view.compared_runs import compared
from dpprof.dashboards.view.page import Context
from dpprof.evidence.evidence import COMMUNICATION, STATES_TIME, STEP_TIME, Evidence
from dpprof.evidence.figures import touching
from dpprof.runs.run import Run
from dpprof.tables.columns import RANK
from dpprof.tables.devices import device_row
from dpprof.trace.load import load_run
from tests.dashboards.conftest import TRACES

LOST = "5 of 10 kernel launches have no kernel in the trace"


def lost(*ranks: int, touches: tuple[str, ...] = STATES_TIME) -> Evidence:
    """That kernels of the ranks were lost; of all where none is named."""
    return Evidence("lost-kernels", 5, 10, ranks, touches, LOST)


@pytest.fixture(scope="module")
def whole() -> Run:
    """A run of four ranks with nothing amiss."""
    return load_run(TRACES / "1f1b")


MakeContext = Callable[..., Context]


def lacking(run: Run, *evidence: Evidence) -> Run:
    """The run, with something amiss."""
    return replace(run, evidence=evidence)


def test_tiles_claim_nothing_that_the_evidence_does_not_carry(whole: Run) -> None:
    touches = (*STATES_TIME, *COMMUNICATION, *STEP_TIME)
    tiles = {one.id: one for one in headlines(analyze(lacking(whole, lost(touches=touches))))}
    unknown = {one.id for one in tiles.values() if one.reason == LACKING}
    assert unknown == {"step-time", "bubble", "hidden", "exposed", "throughput"}
    assert {one.id for one in tiles.values() if one.value is None} == unknown


def test_runs_side_by_side_claim_nothing_that_the_evidence_does_not_carry(whole: Run) -> None:
    reports = [analyze(lacking(whole, lost(2, touches=(*STATES_TIME, *STEP_TIME)))), analyze(whole)]
    known = {one.name: one.values[0] for one in compare(reports).metrics if one.section != "memory"}
    claimed = {name for name, value in known.items() if value is not None}
    idle = {"bubble", "bubble share", "warmup", "cooldown", "dependency", "host"}
    assert idle <= set(known)
    assert not claimed & {*idle, "step time", "fastest step", "slowest step", "tokens/s"}
    assert "p2p exposed" in claimed


def test_the_bubbles_of_a_rank_are_left_out_and_its_name_is_said(
    whole: Run, make_context: MakeContext, text_of: Callable[..., str]
) -> None:
    context = make_context(runs=[lacking(whole, lost(2))])
    (run,) = context.runs
    words = text_of(bubbles.page.layout(context))
    assert f"rank 2: n/a: {LOST}" in words
    assert set(step_regions(context.library, run, run.report.per_step[0].step)[RANK]) == {0, 1, 3}
    known = with_known_bubbles(run.report)
    assert [one.rank for one in known.ranks] == [0, 1, 3]
    assert known.total.bubble_ns == sum(one.bubble_ns for one in known.ranks)


def test_a_run_without_bubbles_that_are_known_says_so_beside_one_with(
    whole: Run, make_context: MakeContext, text_of: Callable[..., str]
) -> None:
    other = replace(whole, name="other")
    context = make_context(runs=[lacking(whole, lost()), other])
    words = text_of(bubbles.page.layout(context))
    assert f"n/a: {LOST}" in words
    assert "Worst regions: 1f1b" not in words
    assert "Worst regions: other" in words


def test_no_bubble_is_a_finding_where_bubbles_are_not_known(
    whole: Run, make_context: MakeContext, text_of: Callable[..., str]
) -> None:
    def words(run: Run) -> str:
        context = make_context(runs=[run])
        return text_of(finding_list(context, context.runs[0], compared(context).unit))

    assert " idle " in words(whole)
    assert " idle " not in words(lacking(whole, lost(touches=(*STATES_TIME, *STEP_TIME))))


def test_the_steps_page_claims_no_step_time(
    whole: Run, make_context: MakeContext, text_of: Callable[..., str]
) -> None:
    context = make_context(runs=[lacking(whole, lost(touches=STEP_TIME))])
    words = text_of(steps.page.layout(context))
    assert f"step time n/a: {LACKING}" in words
    assert "slowest over fastest" not in words
    assert "%" not in text_of(steps.page.layout(context), "steps-1f1b").replace("n/a", "")


def test_a_rank_that_lacks_evidence_is_empty_in_the_matrix_of_steps(whole: Run) -> None:
    report = analyze(lacking(whole, lost(1)))
    missing = {
        key: np.isnan(step_matrix(report, metric).values).all(axis=1).tolist()
        for key, metric in BY_STEP.items()
    }
    assert missing["bubble"] == missing["compute"] == [False, True, False, False]
    assert not any(missing["exposed"])


@pytest.mark.parametrize("ranks", [(), (2,)])
def test_every_page_says_what_is_missing(
    whole: Run, make_context: MakeContext, text_of: Callable[..., str], ranks: tuple[int, ...]
) -> None:
    assert LOST in text_of(missing_evidence(make_context(runs=[lacking(whole, lost(*ranks))])))
    assert missing_evidence(make_context(runs=[whole])) == []


def test_a_run_that_lacks_a_figure_is_no_point_of_its_trend(whole: Run) -> None:
    runs = [whole, lacking(replace(whole, name="lost"), lost(touches=STEP_TIME))]
    entries = run_entries(Library.of_runs(runs))
    points: list[Any] = [one for several in trends(entries, "step_ns").values() for one in several]
    assert [one.entry.name for one in points] == ["1f1b"]
    assert {one.name: one.why_not("step_ns") for one in entries}["lost"] == LACKING


def test_what_is_amiss_with_a_rank_is_amiss_with_all_its_devices() -> None:
    evidence = [lost(2)]
    assert touching(evidence, "bubble_ns", device_row(2, 1)) == evidence
    assert touching(evidence, "bubble_ns", device_row(3, 1)) == []


def test_waiting_that_is_known_in_part_stays(whole: Run) -> None:
    report = analyze(lacking(whole, lost(touches=("wait_ns",))))
    assert METRICS["wait_ns"].carried(report) is None
    in_part = msgspec.structs.replace(report.total, wait_ns=8000, unsplit_ns=5)
    known = METRICS["wait_ns"].carried(msgspec.structs.replace(report, total=in_part))
    assert known == 8000 / (len(report.ranks) * len(report.per_step))
