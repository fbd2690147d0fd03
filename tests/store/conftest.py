"""Small runs of GPU traces whose ranks wait for each other, and comparing what is read of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.runs.run import Run

Event = dict[str, Any]


def span(cat: str, name: str, ts: int, dur: int, tid: int = 1, **args: Any) -> Event:
    place = {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid}
    return {**place, "ts": ts, "dur": dur, "args": args}


def rank_events(rank: int, world: int) -> list[Event]:
    """Two steps of a kernel, an all-reduce that ends together on all ranks, and memory."""
    events = []
    for step in range(2):
        at, number = 1000 * step, 10 * step
        events += [
            span("user_annotation", f"ProfilerStep#{step}", at, 900),
            span("cuda_runtime", "cudaLaunchKernel", at + 10, 5, correlation=number + 1),
            span("kernel", "gemm", at + 20, 100 + 10 * rank, 7, correlation=number + 1, stream=7),
            span("cuda_runtime", "cudaLaunchKernel", at + 30, 5, correlation=number + 2),
            span(
                *("kernel", "ncclDevKernel_AllReduce_Sum_f32", at + 125 + 10 * rank),
                *(300 - 10 * rank, 7),
                **{"correlation": number + 2, "stream": 7, "Collective name": "allreduce"},
                **{"Process Group Name": "0", "In msg nelems": 64, "dtype": "Float"},
                **{"Process Group Ranks": str(list(range(world))), "Group size": world},
            ),
            {
                "ph": "i",
                "name": "[memory]",
                "pid": 1,
                "tid": 1,
                "ts": at + 40,
                "args": {
                    "Total Allocated": 64 << step,
                    "Total Reserved": 256,
                    "Bytes": 1,
                    "Device Type": 1,
                    "Device Id": 0,
                },
            },
        ]
    return events


def write_trace(file: Path, rank: int, world: int = 2, padding: int = 0) -> Path:
    content = {
        "traceEvents": rank_events(rank, world),
        "distributedInfo": {"rank": rank, "world_size": world, "backend": "nccl"},
        "padding": "x" * padding,
    }
    file.write_text(json.dumps(content))
    return file


def write_run(folder: Path, ranks: int = 2, padding: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for rank in range(ranks):
        write_trace(folder / f"rank{rank}.json", rank, ranks, padding)
    return folder


def same_runs(one: Run, other: Run) -> None:
    for name in ("events", "slots", "memory", "steps"):
        left, right = (getattr(run, name) for run in (one, other))
        assert dict(left.dtypes.astype(str)) == dict(right.dtypes.astype(str))
        pd.testing.assert_frame_equal(left, right, check_categorical=False)
    assert (one.places, one.used_steps) == (other.places, other.used_steps)
    assert analyze(one) == analyze(other)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DPPROF_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def without_cache(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Calls a function with the cache switched off."""

    def call(function: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setenv("DPPROF_CACHE", "off")
            return function()

    return call


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, reading a trace fails: what is still loaded comes from the cache."""

    def forbid() -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise AssertionError("a trace was read")

        monkeypatch.setattr("dpprof.trace.source.cache.read_file", fail)

    return forbid


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    return write_run


@pytest.fixture(scope="session")
def make_trace() -> Callable[..., Path]:
    return write_trace


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Run, Run], None]:
    return same_runs
