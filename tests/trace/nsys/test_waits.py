"""Waits of streams, as Nsight Systems and as Kineto record them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.gating import gate
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


def two_streams(export: Export, device: int = 0, at: int = 0) -> None:
    """A message from 2 to 5 ms, and a kernel from 6 ms on that was launched before."""
    export.kernel(21, SEND_RECV, 2 * MS, 5 * MS, launched=10 + at, device=device, stream=9)
    export.kernel(21, "gemm", 1 * MS, 2 * MS, launched=5 + at, device=device)
    export.kernel(21, "gemm", 6 * MS, 7 * MS, launched=50 + at, device=device)


def test_an_event_of_another_device_is_no_wait_for_the_stream_of_that_number(
    export: Export, tmp_path: Path
) -> None:
    two_streams(export)
    two_streams(export, device=1, at=1000)
    export.wait(21, recorded=(9, 1015), waiting=(7, 1030), devices=(0, 1))
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert [one.blocking_ns for one in analyze(run).ranks] == [0, 0]
    assert pairs(run) == []


def test_numbers_of_events_that_come_twice_say_nothing(export: Export, tmp_path: Path) -> None:
    two_streams(export)
    export.wait(21, recorded=(7, 8), waiting=(9, 9), sync=0)
    export.wait(21, recorded=(9, 20), waiting=(7, 30), sync=0)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert analyze(run).ranks[0].blocking_ns is None
    assert any("what blocks is n/a" in word for word in run.warnings)


def test_a_gate_judges_what_blocks_where_it_is_known(tmp_path: Path) -> None:
    files = []
    for name, later in (("a", 0), ("b", MS)):
        export = Export()
        for at in range(0, 40 * MS, 10 * MS):
            export.range(21, f"iteration{at // MS}", at, at + 9 * MS)
            end = at + 5 * MS + later
            export.kernel(21, SEND_RECV, at + 2 * MS, end, launched=at + 10, stream=9)
            export.wait(21, recorded=(9, at + 20), waiting=(7, at + 30))
            export.kernel(21, "gemm", at + MS, at + 2 * MS, launched=at + 5)
            export.kernel(21, "gemm", end + MS, end + 2 * MS, launched=at + 50)
        files.append(export.write(tmp_path / f"{name}.sqlite"))
    less, more = files
    unknown = export.write(tmp_path / "c.sqlite", ("CUPTI_ACTIVITY_KIND_CUDA_EVENT",))
    assert gate(less, "blocking_ns > 3ms").passed
    assert not gate(more, "blocking_ns > 3ms").passed
    assert not gate(more, "blocking_ns > +10%", baseline=less).passed
    assert gate(more, "blocking_ns > +40%", baseline=less).passed
    result = gate(unknown, "any.blocking_ns > 3ms")
    assert not result.passed
    assert "--cuda-event-trace=true" in str(result)


@pytest.mark.parametrize("streams", [(9, 7), (9, 9)])
def test_what_waits_in_a_graph_of_several_streams_is_not_known(
    streams: tuple[int, int], export: Export, tmp_path: Path
) -> None:
    two_streams(export)
    export.wait(21, recorded=(9, 20), waiting=(7, 30))
    export.kernel(21, SEND_RECV, 10 * MS, 12 * MS, launched=60, stream=streams[0])
    export.count -= 1  # of the same launch
    export.kernel(21, "gemm", 12 * MS, 13 * MS, stream=streams[1])
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    blocking = analyze(run).ranks[0].blocking_ns
    said = any("in a graph is not recorded" in word for word in run.warnings)
    assert (blocking is None, said) == (streams[0] != streams[1],) * 2


def test_few_waits_that_say_nothing_make_it_at_least(export: Export, tmp_path: Path) -> None:
    two_streams(export)
    for number in range(40):
        export.wait(21, recorded=(9, 20 + number), waiting=(7, 30 + number // 5))
    export.rows["CUPTI_ACTIVITY_KIND_CUDA_EVENT"].pop()
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert analyze(run).ranks[0].blocking_ns == 3 * MS
    assert any("at least what the others say" in word for word in run.warnings)


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


def test_kinetos_waits_on_a_stream_of_two_devices_are_not_known(tmp_path: Path) -> None:
    file = kineto(tmp_path, record=2)
    rows = json.loads(file.read_text())
    for row in [one for one in rows["traceEvents"] if one["cat"] == "kernel"]:
        args = {**row["args"], "device": 1, "correlation": row["args"]["correlation"] + 50}
        rows["traceEvents"].append({**row, "pid": 1, "args": args})
    file.write_text(json.dumps(rows))
    assert [one.blocking_ns for one in analyze(load_run(tmp_path)).ranks] == [None, None]
