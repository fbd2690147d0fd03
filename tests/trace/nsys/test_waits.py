"""Waits of streams, as Nsight Systems and as Kineto record them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run
from tests.trace.nsys.conftest import Export

MS = 1_000_000
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"


def pairs(run: Any) -> list[tuple[int, int]]:
    return list(zip(run.waits["waiting"], run.waits["awaited"], strict=True))


def test_the_first_work_behind_a_wait_needs_the_last_before_the_event(
    export: Export, tmp_path: Path
) -> None:
    export.kernel(21, SEND_RECV, 2 * MS, 5 * MS, launched=10, stream=9)
    export.wait(21, recorded=(9, 20), waiting=(7, 30))
    export.kernel(21, SEND_RECV, 5 * MS, 9 * MS, launched=40, stream=9)
    export.kernel(21, "gemm", 1 * MS, 2 * MS, launched=5)
    export.kernel(21, "gemm", 5 * MS, 6 * MS, launched=50)
    export.kernel(21, "gemm", 6 * MS, 7 * MS, launched=60)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    starts = [(start - run.events["start_ns"].min()) // MS for start in run.events["start_ns"]]
    assert [(starts[one], starts[other]) for one, other in pairs(run)] == [(4, 1)]
    (rank,) = analyze(run).ranks
    assert (rank.exposed_ns, rank.blocking_ns) == (5 * MS, 3 * MS)


def test_without_the_events_of_waits_blocking_is_not_known(export: Export, tmp_path: Path) -> None:
    export.kernel(21, SEND_RECV, 2 * MS, 5 * MS, launched=10, stream=9)
    export.wait(21, recorded=(9, 20), waiting=(7, 30))
    export.kernel(21, "gemm", 5 * MS, 6 * MS, launched=50)
    without = ("CUPTI_ACTIVITY_KIND_CUDA_EVENT",)
    run = load_run(export.write(tmp_path / "rank0.sqlite", without))
    assert analyze(run).ranks[0].blocking_ns is None
    assert any("--cuda-event-trace=true" in word for word in run.warnings)


def kineto(folder: Path, record: int) -> Path:
    def row(category: str, name: str, at: float, length: float, **more: Any) -> dict[str, Any]:
        args = {key: value for key, value in more.items() if key not in ("pid", "tid")}
        place = {"pid": more.get("pid", 5), "tid": more.get("tid", 5)}
        what = {"ph": "X", "cat": category, "name": name, "ts": at, "dur": length}
        return {**what, **place, "args": args}

    rows = [
        row("kernel", SEND_RECV, 2000, 3000, pid=0, tid=9, stream=9, device=0, correlation=1),
        row("cuda_runtime", "cudaLaunchKernel", 1, 1, correlation=1),
        row("cuda_runtime", "cudaEventRecord", 3, 1, correlation=2),
        row("cuda_runtime", "cudaStreamWaitEvent", 5, 1, correlation=3),
        row("cuda_sync", "Stream Wait Event", 5, 1, pid=0, tid=7, stream=7, device=0,
            correlation=3, wait_on_stream=9, wait_on_cuda_event_record_corr_id=record,
            wait_on_cuda_event_id=8),
        row("cuda_sync", "Stream Sync", 900, 1, pid=0, tid=7, stream=7, device=0, correlation=9,
            wait_on_stream=-1, wait_on_cuda_event_record_corr_id=-1),
        row("kernel", "gemm", 5000, 1000, pid=0, tid=7, stream=7, device=0, correlation=4),
        row("cuda_runtime", "cudaLaunchKernel", 7, 1, correlation=4),
    ]  # fmt: skip
    file = folder / "rank0.json"
    file.write_text(json.dumps({"traceEvents": rows}))
    return file


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_kinetos_waits_say_the_same(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "python":
        monkeypatch.setattr("dpprof.trace.read.engines._compiled", None)
        monkeypatch.setenv("DPPROF_CACHE", "off")
    run = load_run(kineto(tmp_path, record=2))
    assert pairs(run) == [(1, 0)]
    assert analyze(run).ranks[0].blocking_ns == 3 * MS


def test_waits_for_what_the_trace_does_not_hold_are_not_known(tmp_path: Path) -> None:
    run = load_run(kineto(tmp_path, record=77))
    assert analyze(run).ranks[0].blocking_ns is None
    assert any("do not say for what" in word for word in run.warnings)
