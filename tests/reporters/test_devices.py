"""Every view names the devices of a rank that has several, and never a row's bare number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpprof.cli import run as run_verb
from dpprof.tables.devices import device_row

GEMM = "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x5_tn"
FAR = device_row(0, 1)


def kernel(device: int, ts: int, dur: int, name: str = GEMM) -> dict[str, Any]:
    args = {"device": device, "stream": 7, "correlation": ts}
    row = {"ph": "X", "cat": "kernel", "name": name, "pid": device, "tid": 7}
    return row | {"ts": ts, "dur": dur, "args": args}


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Device 0 computes 10 ms and broadcasts 10 ms; device 1 computes the last 5 ms only."""
    file = tmp_path / "rank0.json"
    rows = [kernel(0, 100, 10_000), kernel(0, 10_100, 10_000, "ncclDevKernel_Broadcast_RING_LL()")]
    rows.append(kernel(1, 15_100, 5_000))
    head = {"distributedInfo": {"rank": 0, "world_size": 1}}
    file.write_text(json.dumps({"traceEvents": rows} | head))
    return str(file)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        assert run_verb([*arguments]) in (0, 1)
        return capsys.readouterr().out

    return call


def test_json_has_rank_and_device(run: Any, trace: str) -> None:
    output = run("analyze", trace, "--format", "json")
    report = json.loads(output)
    rows = [
        (rank["rank"], rank["device"], rank["states_ns"]["compute_only"], rank["exposed_ns"])
        for rank in report["ranks"]
    ]
    assert rows == [(0, 0, 10_000_000, 10_000_000), (0, 1, 5_000_000, 0)]
    assert [(one["rank"], one["device"]) for one in report["regions"]] == [(0, 1)]
    assert f": {FAR}," not in output


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_reports_name_devices(run: Any, trace: str, form: str, tmp_path: Path) -> None:
    file = tmp_path / "report"
    run("analyze", trace, "--format", form, "-o", str(file))
    text = file.read_text()
    assert "0, device 0" in text
    assert "0, device 1" in text
    assert str(FAR) not in text


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_diffs_and_gates_name_devices(run: Any, trace: str, form: str) -> None:
    diff = run("diff", trace, trace, "--format", form)
    assert "0, device 1" in diff
    gate = run("gate", trace, "--fail-if", "bubble_share > 10%", "--format", form)
    assert str(FAR) not in diff + gate


def test_perfetto_names_devices(run: Any, trace: str, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    run("export", trace, "--to", "perfetto", "-o", str(file))
    events = json.loads(file.read_text())["traceEvents"]
    names = {one["args"]["name"] for one in events if one["name"] == "process_name"}
    assert names == {"rank 0, device 0", "rank 0, device 1"}
