"""Traces that are all of one thing: what `dpprof analyze` takes for them grows as they do.

``python tests/robustness/growth.py [EVENTS [NAME]...]`` gives time and memory at EVENTS and at
four times as many; each is the work of a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]
MORE = 4
SECONDS = 300


def kernel(at: int, **others: Any) -> Event:
    """The `at`-th kernel of a trace, of a microsecond."""
    args = {"stream": 7, "correlation": at, "device": 0} | others.pop("args", {})
    row = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 2 * at, "dur": 1}
    return row | {"args": args} | others


def _annotation(at: int, name: str, duration: float = 1, thread: int = 1) -> Event:
    kind = "user_annotation"
    begin = {"ph": "X", "cat": kind, "name": name, "pid": 9, "tid": thread}
    return begin | {"ts": 2 * at, "dur": duration}


def _collective(at: int, **args: Any) -> Event:
    group = {"Process Group Name": "1", "Collective name": "allreduce", "dtype": "Float"}
    sizes = {"In msg nelems": 8, "Out msg nelems": 8, "Group size": 2}
    name = "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
    return kernel(at, name=name, args=group | sizes | args)


def _launch(at: int, thread: int = 1) -> Event:
    call = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": thread}
    return call | {"ts": 2 * at - 1.5, "dur": 1, "args": {"correlation": at}}


def _memory(at: int, address: int) -> Event:
    args = {"Addr": address, "Bytes": 512, "Total Allocated": 512 * at, "Device Type": 1}
    row = {"ph": "i", "cat": "cpu_instant_event", "name": "[memory]", "pid": 9, "tid": 1}
    return row | {"ts": 2 * at, "args": args | {"Device Id": 0, "Total Reserved": 512 * at}}


def _name_of_thread(at: int, thread: int) -> Event:
    return {"ph": "M", "name": "thread_name", "pid": 0, "tid": thread, "args": {"name": f"n{at}"}}


SHAPES: dict[str, Callable[[int], list[Event]]] = {
    "kernels": lambda at: [kernel(at)],
    "kernels of their own name": lambda at: [kernel(at, name=f"gemm_{at}")],
    "kernels on their own stream": lambda at: [kernel(at, tid=at, args={"stream": at})],
    "kernels at one instant": lambda at: [kernel(at, ts=5, dur=10)],
    "kernels within one another": lambda at: [kernel(at, ts=at, dur=10**6 - 2 * at)],
    "kernels of one launch": lambda at: [kernel(at, args={"correlation": 1}), _launch(1)],
    "kernels of processes of their own": lambda at: [kernel(at, pid=at)],
    "kernels of devices of their own": lambda at: [kernel(at, args={"device": at})],
    "ranks merged into one file": lambda at: [
        kernel(at, pid=2 * at),
        _launch(at) | {"pid": 2 * at + 1},
    ],
    "processes with places of their own": lambda at: [kernel(at, pid=f"rank {at}")],
    "launches within annotations": lambda at: [
        kernel(at),
        _launch(at),
        _annotation(at, "F0.0", 10**6 - 4 * at),
    ],
    "launches of threads of their own": lambda at: [kernel(at), _launch(at, at)],
    "steps": lambda at: [kernel(at), _annotation(at, f"ProfilerStep#{at}", 2)],
    "steps of one number": lambda at: [kernel(at), _annotation(at, "ProfilerStep#1", 2)],
    "slots": lambda at: [kernel(at), _launch(at), _annotation(at - 1, f"F0.{at}", 2)],
    "nested spans": lambda at: [_annotation(at, f"span {at}", 10**7 - 4 * at)],
    "collectives": lambda at: [_collective(at, **{"Process Group Ranks": "[0, 1]"})],
    "collectives of groups of their own": lambda at: [
        _collective(at, **{"Process Group Name": str(at), "Process Group Ranks": f"[0, {at}]"})
    ],
    "collectives at one instant": lambda at: [_collective(at) | {"ts": 5, "dur": 10}],
    "sends": lambda at: [
        _collective(at, **{"Collective name": "send", "Src Rank": 0, "Dst Rank": 1})
        | {"name": "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"}
    ],
    "memory": lambda at: [_memory(at, at)],
    "memory at one address": lambda at: [_memory(at, 1)],
    "names of one thread": lambda at: [_name_of_thread(at, 7)],
    "names of threads": lambda at: [_name_of_thread(at, at)],
    "begins without ends": lambda at: [kernel(at) | {"ph": "B"}],
    "begins, then ends": lambda at: [kernel(at) | {"ph": "B" if at < 5000 else "E"}],
    "flows": lambda at: [
        {"ph": ph, "cat": "ac2g", "id": at, "pid": 0, "tid": 7, "ts": 2 * at, "name": "ac2g"}
        for ph in "sf"
    ],
    "operators within one another": lambda at: [
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 9, "tid": 1}
        | {"ts": at, "dur": 10**7 - 2 * at, "args": {"External id": at}}
    ],
    "values without type": lambda at: [kernel(at) | {"ts": "later"}],
}


class Cost(NamedTuple):
    """What one trace took: its size, the CPU time and the largest resident memory."""

    trace_bytes: int
    cpu_seconds: float
    memory_bytes: int
    code: int


def cost(shape: str, count: int) -> Cost:
    """What `dpprof analyze` takes for `count` events of a shape; it has 5 minutes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rank0.json"
        file.write_text(json.dumps({"traceEvents": list(_events(shape, count))}))
        words = ["analyze", str(file), "--format", "json", "-o", f"{folder}/report.json"]
        variables = os.environ | {"DPPROF_CACHE": "off"}
        child = subprocess.Popen(
            [sys.executable, "-m", "dpprof", *words],
            env=variables,
            stderr=subprocess.DEVNULL,
            preexec_fn=_bounded,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return Cost(
            file.stat().st_size,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss * 1024,
            child.returncode,
        )


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _events(shape: str, count: int) -> Iterator[Event]:
    yield kernel(0)
    for at in range(1, count + 1):
        yield from SHAPES[shape](at)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if sys.argv[1:] else 20_000
    for shape in sys.argv[2:] or SHAPES:
        small, large = cost(shape, count), cost(shape, MORE * count)
        print(
            f"{shape}: {small.trace_bytes / 1e6:.1f} MB: {small.cpu_seconds:.1f} CPU s, "
            f"{small.memory_bytes / 1e6:.0f} MB, exit code {small.code}; "
            f"{large.trace_bytes / 1e6:.1f} MB: {large.cpu_seconds:.1f} CPU s, "
            f"{large.memory_bytes / 1e6:.0f} MB, exit code {large.code}",
            flush=True,
        )


if __name__ == "__main__":
    main()
