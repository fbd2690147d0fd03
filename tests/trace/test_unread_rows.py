"""Rows that cannot be read, and a file that is cut: no figure that they touch is claimed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.evidence.figures import touching
from dpprof.trace.activities.unread_rows import CUT, UNREADABLE
from dpprof.trace.load import load_run
from dpprof.trace.read import parse
from tests.trace.test_possible_times import checks, report_of, step_of


def rows_of(build, *, launches: bool = False) -> list[dict[str, Any]]:
    """The events of a step of ten kernels; without launches nothing else misses a kernel."""
    rows: list[dict[str, Any]] = json.loads(build.encode(step_of(build)))["traceEvents"]
    return [row for row in rows if launches or row.get("cat") != "cuda_runtime"]


def report_on(folder: Path, text: bytes) -> Any:
    (folder / "rank0.json").write_bytes(text)
    return analyze(load_run(folder))


def is_claimed(report: Any, figure: str) -> bool:
    return not touching(report.evidence, figure, 0)


@pytest.fixture(params=[True, False], ids=["C", "Python"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(parse, "has_compiled", lambda: False)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("wrong", [{"dur": -5}, {"dur": None}, {"name": 5}, {"ts": 1e300}])
def test_a_kernel_that_cannot_be_read_is_evidence(build, tmp_path, wrong) -> None:
    rows = rows_of(build)
    kernel = next(row for row in rows if row.get("cat") == "kernel")
    kernel |= wrong
    report = report_on(tmp_path, json.dumps({"traceEvents": rows}).encode())
    assert checks(report) == {UNREADABLE: (1, 10)}
    assert not is_claimed(report, "bubble_ns")
    assert sum("left out" in one for one in report.warnings) == 1


@pytest.mark.usefixtures("engine")
def test_an_event_of_the_host_that_cannot_be_read_is_none_of_the_device(build, tmp_path) -> None:
    rows = [*rows_of(build), build.span("cpu_op", "aten::mm", 5, 1) | {"dur": -1}]
    report = report_on(tmp_path, json.dumps({"traceEvents": rows}).encode())
    assert report.evidence == []
    assert any("1 events have values of the wrong type" in one for one in report.warnings)


@pytest.mark.usefixtures("engine")
def test_a_kernel_that_is_no_json_or_has_no_end_is_evidence(build, tmp_path) -> None:
    rows = rows_of(build)
    text = json.dumps({"traceEvents": rows}).encode()
    bad = b'{"ph": "X", "cat": "kernel", "name": "a"b", "ts": 5, "dur": 1}, '
    broken = text.replace(b'{"ph"', bad + b'{"ph"', 1)
    assert checks(report_on(tmp_path, broken)) == {UNREADABLE: (1, 11)}
    open_row = build.span("kernel", "k", 1_000_001, 1) | {"ph": "B"}
    report = report_on(tmp_path, json.dumps({"traceEvents": [*rows, open_row]}).encode())
    assert checks(report) == {UNREADABLE: (1, 11)}


@pytest.mark.usefixtures("engine")
def test_a_memory_event_that_cannot_be_read_makes_the_peak_at_least(build, tmp_path) -> None:
    memory = {"ph": "i", "name": "[memory]", "ts": "soon", "args": {"Bytes": 5}}
    report = report_on(tmp_path, json.dumps({"traceEvents": [*rows_of(build), memory]}).encode())
    assert checks(report) == {"unreadable-memory": (1, 1)}
    assert not is_claimed(report, "peak_allocated_bytes")
    assert is_claimed(report, "bubble_ns")


@pytest.mark.usefixtures("engine")
def test_a_file_that_is_cut_is_evidence_and_a_list_that_is_not_closed_is_none(
    build, tmp_path
) -> None:
    rows = rows_of(build)
    text = json.dumps({"traceEvents": rows}).encode()
    assert checks(report_on(tmp_path, text[:-40])) == {CUT: (1, 1)}
    listed = json.dumps(rows).encode()
    assert checks(report_on(tmp_path, listed[:-1] + b",\n")) == {}
    assert checks(report_on(tmp_path, listed[:-20])) == {CUT: (1, 1)}


def test_an_operator_of_a_cpu_run_that_cannot_be_read_is_evidence(build, tmp_path) -> None:
    events = [
        build.step(1, 1_000, 500),
        *(build.span("cpu_op", "aten::mm", 1_000 + i, 9) for i in (0, 20)),
    ]
    events.append(build.span("cpu_op", "aten::mm", 1_050, 1) | {"dur": -1})
    report = report_of(build, tmp_path, events)
    assert checks(report)[UNREADABLE][0] == 1
