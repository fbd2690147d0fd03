"""The traces of a random job, as Kineto writes them, with its fault planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.trace.random_jobs import ALL_REDUCE, COPY, GEMM, SENDRECV, Activity, Job

_NAMES = {"compute": GEMM, "memory": COPY, "all_reduce": ALL_REDUCE, "p2p": SENDRECV}
Rows = list[dict[str, Any]]


def write(job: Job, folder: Path) -> None:
    """One file per rank, or one of all."""
    traces = [_trace(job, rank) for rank in range(job.size)]
    if job.fault == "merged-ranks":
        _write(folder / "all.json", _merged(traces))
        return
    if job.fault == "doubled-rank":
        traces[-1]["distributedInfo"]["rank"] = 0
    for rank, trace in enumerate(traces):
        if job.fault != "missing-rank" or rank != job.extra["who"]:
            _write(folder / f"trace{rank}.json", trace)


def _write(file: Path, trace: dict[str, Any]) -> None:
    file.write_text(json.dumps(trace))


def _trace(job: Job, rank: int) -> dict[str, Any]:
    info: dict[str, Any] = {"rank": rank, "world_size": job.size}
    if job.fault not in ("no-groups", "nothing-told"):
        info["pg_config"] = [
            {"pg_name": name, "pg_desc": about, "ranks": list(ranks)}
            for name, (about, ranks) in job.groups.items()
        ]
    rows = [*_marks(job, rank), *_work(job, rank)]
    return {"traceEvents": _on_clock(job, rank, rows), "distributedInfo": info}


def _marks(job: Job, rank: int) -> Rows:
    if job.fault == "no-marks":
        return []
    host = {"ph": "X", "cat": "user_annotation", "pid": 1, "tid": 1}
    rows = []
    for step, start, end in job.marks[rank]:
        mark = host | {"name": f"ProfilerStep#{step}", "ts": start, "dur": end - start}
        rows.append(mark)
        if job.fault == "nested-mark":
            rows.append(mark | {"ts": start + 1, "dur": max(1, end - start - 2)})
        if job.fault == "mark-on-two-threads":
            rows.append(mark | {"tid": 2, "ts": start + 1, "dur": max(1, end - start - 2)})
    return rows


def lost(job: Job, rank: int) -> set[int]:
    """The places of the activities of a rank that its trace has lost."""
    count, number = job.extra.get("count", 0), len(job.done[rank])
    by_start = np.argsort([one.start for one in job.done[rank]], kind="stable")
    if job.fault == "some-lost" and rank == job.extra["who"]:
        rng = np.random.default_rng(job.seed + 3)
        return set(rng.permutation(number)[:count].tolist())
    if job.fault == "first-lost" and rank == job.extra["who"]:
        return set(by_start[:count].tolist())
    if job.fault == "last-lost":  # and another its first: both did as many
        if rank == job.extra["who"]:
            return set(by_start[-count:].tolist())
        return set(by_start[:count].tolist())
    return set()


def _work(job: Job, rank: int) -> Rows:
    gone, rows = lost(job, rank), []
    for place, one in enumerate(job.done[rank]):
        where = {"device": one.device, "stream": one.stream, "correlation": place + 1}
        call = "cudaMemcpyAsync" if one.kind == "memory" else "cudaLaunchKernel"
        host = {"ph": "X", "cat": "cuda_runtime", "name": call, "pid": 1, "tid": 1}
        if place not in gone or job.extra.get("launches"):
            rows.append(host | {"ts": one.launched, "dur": 1, "args": where})
        if place in gone:
            continue
        start, length = one.start, one.end - one.start
        if place == 0 and job.fault in ("overlong", "at-zero") and rank == job.extra["who"]:
            start, length = (start, 10**6) if job.fault == "overlong" else (0, 0)
        cat = "gpu_memcpy" if one.kind == "memory" else "kernel"
        kernel = {"ph": "X", "cat": cat, "name": _NAMES[one.kind], "pid": one.device}
        args = where | _words(job, rank, one)
        rows.append(kernel | {"tid": one.stream, "ts": start, "dur": length, "args": args})
    return rows


def _words(job: Job, rank: int, one: Activity) -> dict[str, Any]:
    if one.kind not in ("all_reduce", "p2p") or job.fault == "nothing-told":
        return {}
    about, members = job.groups[one.group]
    message = one.kind == "p2p"
    said: dict[str, Any] = {"dtype": "Half", "In msg nelems": 64}
    said["Collective name"] = ("send" if one.sends else "recv") if message else "allreduce"
    if message:
        local = job.fault == "local-peers"
        said["Dst Rank" if one.sends else "Src Rank"] = (
            members.index(one.peer) if local else one.peer
        )
    if job.fault != "no-groups":
        said |= {"Process Group Name": one.group, "Process Group Description": about}
        said["Process Group Ranks"] = str(list(members))
    if job.fault != "no-numbers" and job.extra.get("told") == "numbers" and not message:
        said["Seq"] = one.number
    return said


def at_clock(job: Job, rank: int, at: float) -> float:
    """What the rank's clock shows at an instant."""
    if rank != job.extra.get("who", -1):
        return at
    by = job.extra["by"]
    if job.fault == "offset":
        return at + by
    if job.fault == "drift":
        return at + at * by / 1e8
    if job.fault == "jump":
        return at + (by if at > job.extra["at"] else 0)
    return at


def _on_clock(job: Job, rank: int, rows: Rows) -> Rows:
    late = 100_000  # no instant may be before 0
    behind = abs(job.extra.get("by", 0)) if job.fault == "device-clock" else 0
    for row in rows:
        device = row["cat"] in ("kernel", "gpu_memcpy")
        zero = device and row["ts"] == 0 and row["dur"] == 0
        if job.fault in ("offset", "drift", "jump", "device-clock") and not zero:
            first = round(at_clock(job, rank, row["ts"]), 3)
            last = round(at_clock(job, rank, row["ts"] + row["dur"]), 3)
            shift = late - (behind if device and rank == job.extra["who"] else 0)
            row["ts"], row["dur"] = first + shift, round(last - first, 3)
    return rows


def _merged(traces: list[dict[str, Any]]) -> dict[str, Any]:
    rows: Rows = []
    for rank, trace in enumerate(traces):
        own = [row | {"pid": row["pid"] + 1000 * (rank + 1)} for row in trace["traceEvents"]]
        for row in own:
            if "args" in row:
                args = dict(row["args"])
                args["correlation"] += 10_000 * rank
                row["args"] = args
        names = {row["pid"] for row in own}
        for pid in sorted(names):
            about = {"name": f"rank {rank}: python"}
            rows.append({"ph": "M", "name": "process_name", "pid": pid, "args": about})
        rows += own
    return {"traceEvents": rows}
