"""Builds traces by hand: events in microseconds on one process, written as Kineto writes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dpprof.trace.rank.identity import identify
from dpprof.trace.rank.tables import make_tables
from dpprof.trace.read.parse import parse_trace

PID, MAIN = 10, 11


def span(cat: str, name: str, ts: Any, dur: Any, tid: Any = MAIN, **args: Any) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": cat,
        "name": name,
        "pid": PID,
        "tid": tid,
        "ts": ts,
        "dur": dur,
        "args": args,
    }


def annotation(name: str, ts: Any, dur: Any, tid: Any = MAIN) -> dict[str, Any]:
    return span("user_annotation", name, ts, dur, tid)


def step(number: int, ts: Any, dur: Any) -> dict[str, Any]:
    return annotation(f"ProfilerStep#{number}", ts, dur)


def operator(name: str, ts: Any, dur: Any, tid: Any = MAIN, **args: Any) -> dict[str, Any]:
    return span("cpu_op", name, ts, dur, tid, **args)


def thread(tid: Any, name: str) -> dict[str, Any]:
    args = {"name": f"thread {tid} ({name})"}
    return {"ph": "M", "name": "thread_name", "pid": PID, "tid": tid, "ts": 0, "args": args}


def memory(ts: Any, allocated: int, kind: int = 0, **args: Any) -> dict[str, Any]:
    totals = {"Total Allocated": allocated, "Total Reserved": 2 * allocated if kind else 0}
    args = totals | {"Bytes": 1, "Device Type": kind, "Device Id": 0 if kind else -1} | args
    return {"ph": "i", "name": "[memory]", "pid": PID, "tid": MAIN, "ts": ts, "args": args}


class Kernels:
    """Makes launched kernels: each a runtime call and a kernel with the same correlation."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(
        self,
        name: str,
        launch: Any,
        ts: Any,
        dur: Any,
        *,
        stream: int = 7,
        tid: Any = MAIN,
        **args: Any,
    ) -> list[dict[str, Any]]:
        self.count += 1
        call = span("cuda_runtime", "cudaLaunchKernel", launch, 1, tid, correlation=self.count)
        where = {"device": 0, "stream": stream, "correlation": self.count}
        return [call, span("kernel", name, ts, dur, stream, **(where | args))]


def encode(events: list[Any], **header: Any) -> bytes:
    flat = [one for event in events for one in (event if isinstance(event, list) else [event])]
    return json.dumps({"traceEvents": flat} | header).encode()


def tables(events: list[Any], patterns: Any = (), **header: Any) -> Any:
    """The tables of rank 0 of a trace of these events."""
    file = Path("rank0.json")
    trace = parse_trace(encode(events, **header), file)
    return make_tables(trace, identify(trace, 0), patterns)


def write(file: Path, events: list[Any], **header: Any) -> Path:
    data = encode(events, **header)
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


@pytest.fixture
def build() -> SimpleNamespace:
    return SimpleNamespace(
        span=span,
        annotation=annotation,
        step=step,
        operator=operator,
        thread=thread,
        memory=memory,
        kernel=Kernels(),
        encode=encode,
        tables=tables,
        write=write,
        PID=PID,
        MAIN=MAIN,
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no public traces beside the repository (../shared/data)")
    return folder
