"""Device work of an export that does not say what it is, and rows that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.gating import gate
from dpprof.trace.load import load_run
from tests.trace.nsys.conftest import Export

MS = 1_000_000
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"


def a_graph(export: Export, length: int) -> None:
    export.add(
        "CUPTI_ACTIVITY_KIND_GRAPH_TRACE", start=MS, end=MS + length, deviceId=0, streamId=7,
        correlationId=77, globalPid=21 << 24,
    )  # fmt: skip


def checks(run: Any) -> dict[str, int]:
    return {one.check: one.found for one in run.evidence}


def test_no_figure_of_the_device_stands_on_graphs_that_nobody_looked_into(
    export: Export, tmp_path: Path
) -> None:
    export.kernel(21, ALL_REDUCE, 5 * MS, 9 * MS, launched=10, stream=9)
    a_graph(export, 6 * MS)
    file = export.write(tmp_path / "rank0.sqlite")
    run = load_run(file)
    assert checks(run)["whole-graphs"] == 1
    assert any("60.0% of all activity time" in one.text for one in run.evidence)
    assert not gate(file, "any.hidden_share < 10%").passed
    assert "--cuda-graph-trace=node" in str(gate(file, "any.hidden_share < 10%"))


def test_a_graph_of_little_time_is_said_and_touches_nothing(export: Export, tmp_path: Path) -> None:
    export.kernel(21, ALL_REDUCE, 5 * MS, 9 * MS, launched=10, stream=9)
    a_graph(export, 10_000)
    file = export.write(tmp_path / "rank0.sqlite")
    assert checks(load_run(file)) == {"whole-graphs": 1}
    assert gate(file, "any.exposed_ns > 5ms").passed


def test_kernels_without_a_name_are_no_computation_for_certain(
    export: Export, tmp_path: Path
) -> None:
    export.kernel(21, ALL_REDUCE, 5 * MS, 9 * MS, launched=10, stream=9)
    export.kernel(21, "gemm", MS, 6 * MS, launched=9)
    run = load_run(export.write(tmp_path / "rank0.sqlite", ("StringIds",)))
    assert checks(run)["nameless-activities"] == 2


@pytest.mark.parametrize("end", ["later", 1])
def test_kernels_that_cannot_be_read_make_times_at_least(
    end: Any, export: Export, tmp_path: Path
) -> None:
    export.kernel(21, "gemm", MS, 6 * MS, launched=9)
    export.kernel(21, "gemm", "soon" if end == "later" else 7 * MS, end, launched=10)  # type: ignore[arg-type]
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert checks(run)["unreadable-activities"] == 1
    assert analyze(run).ranks[0].states_ns["compute_only"] == 5 * MS


def test_a_launch_that_cannot_be_read_is_no_lost_work(export: Export, tmp_path: Path) -> None:
    export.kernel(21, "gemm", MS, 6 * MS, launched=9)
    export.add("CUPTI_ACTIVITY_KIND_RUNTIME", start="soon", end=9, globalTid=21 << 24 | 21)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert "unreadable-activities" not in checks(run)


def test_what_nsys_warned_of_is_passed_on(export: Export, tmp_path: Path) -> None:
    export.kernel(21, "gemm", MS, 6 * MS, launched=9)
    for severity, text in ((1, "has started"), (2, "events were\ndropped"), (3, "x" * 999)):
        for _ in "ab":
            export.add("DIAGNOSTIC_EVENT", severity=severity, text=text)
    said = load_run(export.write(tmp_path / "rank0.sqlite")).warnings
    told = [one.split("recording: ")[1] for one in said if "nsys said" in one]
    assert told == ["events were dropped", "x" * 200]
