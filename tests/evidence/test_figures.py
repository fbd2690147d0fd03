"""Which figures a piece of evidence touches, and what reports show of it."""

from __future__ import annotations

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.evidence.evidence import COMMUNICATION, DEVICE_TIME, MEMORY, STEP_TIME, Evidence
from dpprof.evidence.figures import touching
from dpprof.gate.names import JOB_FIGURES
from dpprof.reporters import render
from dpprof.reporters.formats.notebook import report_html


def lacking(*touches: str, ranks: tuple[int, ...] = ()) -> Evidence:
    return Evidence("lost-kernels", 2, 9, ranks, touches, "2 of 9 launches have no kernel")


@pytest.mark.parametrize(
    ("touches", "figure", "touched"),
    [
        (("bubble_ns",), "bubble_share", True),
        (("states_ns",), "exposed.p2p_ns", True),
        (("states_ns",), "bubble.host_share", True),
        (("by_kind",), "dispatch.hidden_share", True),
        (("by_kind",), "hidden_share", False),
        (("step_ns",), "tokens_per_second", True),
        (("step_ns",), "compute_ns", False),
        (MEMORY, "peak_allocated_bytes", True),
        (MEMORY, "parameter_bytes", False),
        (("ideal",), "ideal.bubble_ns", True),
        (("critical_path",), "critical_path.host_ns", True),
    ],
)
def test_names(touches, figure: str, touched: bool) -> None:
    assert bool(touching([lacking(*touches)], figure)) is touched


def test_device_time_is_every_figure_of_time_but_the_step_and_none_of_memory() -> None:
    times = {name for name, unit in JOB_FIGURES.items() if unit in ("ns", "share", "rate")}
    touched = {name for name in JOB_FIGURES if touching([lacking(*DEVICE_TIME)], name)}
    of_the_step = {"step_ns", "slowest_step_ns", "fastest_step_ns", "window_ns"}
    assert times - touched == of_the_step | {"tokens_per_second", "model_flops_per_second"}
    assert touched <= times


def test_evidence_of_a_rank_is_not_that_of_another() -> None:
    one = lacking("bubble_ns", ranks=(1,))
    assert touching([one], "bubble_ns", 1)
    assert touching([one], "bubble_ns")
    assert not touching([one], "bubble_ns", 0)


def test_a_report_says_it_first_and_once(make_run, event) -> None:
    run = make_run([event(0, 0, 10)], evidence=(lacking(*DEVICE_TIME),), warnings=("odd",))
    report = analyze(run)
    assert report.warnings[0] == report.evidence[0].text
    text = render(report, "table")
    assert text.count("2 of 9 launches") == 1
    assert text.index("evidence: 2 of 9 launches") < text.index("rank 0")
    for other in (render(report, "markdown"), report_html(report)):
        assert other.count("2 of 9 launches") == 1
        assert "evidence does not carry" in other


@pytest.mark.parametrize("touches", [DEVICE_TIME, COMMUNICATION])
def test_no_share_of_any_kind_is_hidden_where_evidence_for_it_is_missing(
    make_run, event, touches: tuple[str, ...]
) -> None:
    rows = [event(0, 0, 10), event(0, 4, 12, "dispatch"), event(0, 12, 20, "combine")]
    known = analyze(make_run(rows))
    assert [one.hidden_reason for one in known.total.by_kind.values()] == [None, None]
    assert known.total.including_wait.hidden_share == 6 / 16
    for ranks in ((), (0,)):
        report = analyze(make_run(rows, evidence=(lacking(*touches, ranks=ranks),)))
        for figures in (report.total, report.ranks[0]):
            assert {one.hidden_reason for one in figures.by_kind.values()} == {"lost-kernels"}
            assert figures.including_wait.hidden_share is None
        table = render(report, "table")
        rows_of_kinds = table[table.index("Communication by kind") :].splitlines()[:7]
        assert not [line for line in rows_of_kinds if "%" in line]


def test_the_window_is_the_jobs_and_with_it_the_idle_time_of_every_rank() -> None:
    """A rank that may have worked longer may have been waited for."""
    lost = Evidence("lost-kernels", 1, 9, (1,), (*DEVICE_TIME, *STEP_TIME), "lost")
    for figure in ("step_ns", "window_ns", "bubble_share", "bubble.host_ns"):
        assert touching([lost], figure, 0) == [lost]
    assert touching([lost], "compute_ns", 0) == touching([lost], "hidden_ns", 0) == []
