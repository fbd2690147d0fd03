"""Random jobs with a known truth, and what may be amiss in their traces.

A job is a list of operations: every rank goes through its own in order, computes before each, and
waits in a collective or a message for its peers. All times are whole microseconds. `told` makes its
traces, in which one thing is planted; what the planting leaves unknown, dpprof must not claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)"
SENDRECV = "ncclDevKernel_SendRecv(x)"
GEMM = "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x5_tn"
COPY = "Memcpy HtoD (Pinned -> Device)"

FAULTS = {
    "nothing": (),
    "ranks": ("missing-rank", "doubled-rank"),
    "groups": ("no-groups", "no-numbers", "local-peers", "nothing-told"),
    "devices": ("two-devices", "merged-ranks"),
    "marks": ("nested-mark", "prefetch", "gap", "mark-on-two-threads", "no-marks"),
    "clocks": ("offset", "drift", "jump", "device-clock"),
    "lost": ("first-lost", "last-lost", "some-lost", "overlong", "at-zero"),
}
"""What is planted, by kind of fault."""


@dataclass(frozen=True)
class Activity:
    """A kernel: `ready` is when all its peers were there; `stream` 7 computes, 9 communicates."""

    start: int
    end: int
    kind: str
    step: int
    launched: int
    ready: int = -1
    group: str = ""
    number: int = -1
    peer: int = -1
    sends: bool = False
    device: int = 0

    @property
    def stream(self) -> int:
        """The stream that it runs on."""
        return {"compute": 7, "memory": 8}.get(self.kind, 9)


@dataclass(frozen=True)
class Job:
    """What happened on each rank: its activities, and the host's marks by step."""

    size: int
    groups: dict[str, tuple[str, tuple[int, ...]]]
    done: list[list[Activity]]
    marks: list[list[tuple[int, int, int]]]  # by rank: step, start, end
    fault: str
    seed: int
    extra: dict[str, Any] = field(default_factory=dict)


SCALE = 40
"""Microseconds of a unit of the generator: what is cut or left out is longer than an odd stamp."""


def scaled(one: Activity) -> Activity:
    """The activity in microseconds."""
    ready = one.ready * SCALE if one.ready >= 0 else -1
    times = {"start": one.start * SCALE, "end": one.end * SCALE, "launched": one.launched * SCALE}
    return replace(one, ready=ready, **times)


def groups_of(size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The world, and from four ranks on halves and pairs across them."""
    found = {"0": ("default_pg", tuple(range(size)))}
    if size == 4:
        found |= {"1": ("TENSOR", (0, 1)), "2": ("TENSOR", (2, 3))}
        found |= {"3": ("DATA_PARALLEL_GROUP", (0, 2)), "4": ("DATA_PARALLEL_GROUP", (1, 3))}
    return found


def random_job(seed: int, fault: str) -> Job:
    """The job of a seed, for a fault to be planted."""
    rng = np.random.default_rng(seed)
    size = int(rng.choice([2, 3, 4])) if fault != "two-devices" else int(rng.choice([1, 2]))
    groups = groups_of(size)
    now = [int(rng.integers(40, 90)) for _ in range(size)]
    done: list[list[Activity]] = [[] for _ in range(size)]
    marks: list[list[tuple[int, int, int]]] = [[] for _ in range(size)]
    numbers = dict.fromkeys(groups, 0)
    edges: dict[tuple[int, int], int] = {}
    host = [int(rng.integers(0, 20)) for _ in range(size)]
    for step in range(1, 1 + int(rng.integers(1, 4))):
        if fault == "gap":
            host = [max(host[r], now[r]) + int(rng.integers(30, 200)) for r in range(size)]
        begun = list(host)
        for _ in range(int(rng.integers(2, 6))):
            name = str(rng.choice(sorted(groups)))
            ranks = groups[name][1]
            message = len(ranks) > 1 and rng.random() < 0.3
            if message:
                ranks = tuple(int(one) for one in rng.permutation(ranks)[:2])
            for rank in ranks:
                length = int(rng.integers(5, 70))
                host[rank] += 3
                start = max(now[rank], host[rank] + 1) + int(rng.integers(0, 12))
                done[rank].append(Activity(start, start + length, "compute", step, host[rank]))
                now[rank] = start + length
            starts = {}
            for rank in ranks:
                host[rank] += 2
                starts[rank] = max(now[rank], host[rank] + 1) + int(rng.integers(0, 5))
            ready, transfer = max(starts.values()), int(rng.integers(4, 50))
            covered = rng.random() < 0.5
            for rank in ranks:
                end = ready + transfer
                kind = "p2p" if message else "all_reduce"
                edge = (ranks[0], ranks[-1])
                number = edges.get(edge, 0) if message else numbers[name]
                one = Activity(
                    *(starts[rank], end, kind, step, host[rank], ready, name, number),
                    peer=(ranks[1] if rank == ranks[0] else ranks[0]) if message else -1,
                    sends=message and rank == ranks[0],
                )
                done[rank].append(one)
                if covered:  # computing meanwhile, on the other stream
                    host[rank] += 2
                    begin = max(now[rank] + 1, host[rank] + 1)
                    until = begin + int(rng.integers(5, 60))
                    done[rank].append(Activity(begin, until, "compute", step, host[rank]))
                    now[rank] = max(until, end)
                else:
                    now[rank] = end
            if message:
                edges[edge] = edges.get(edge, 0) + 1
            else:
                numbers[name] += 1
        if fault == "prefetch":
            for rank in range(size):
                host[rank] += 2
                start = now[rank] + 2
                done[rank].append(Activity(start, start + 40, "memory", step, host[rank]))
        for rank in range(size):
            waits = rng.random() < 0.5 and fault != "prefetch"
            host[rank] = max(host[rank] + 4, now[rank] + 1) if waits else host[rank] + 4
            marks[rank].append((step, begun[rank], host[rank]))
    done = [[scaled(one) for one in own] for own in done]
    marks = [[(step, start * SCALE, end * SCALE) for step, start, end in own] for own in marks]
    return Job(size, groups, done, marks, fault, seed)


def two_devices(job: Job) -> Job:
    """A process drives two devices: their kernels overlap, and neither is a peer of the other."""
    rng = np.random.default_rng(job.seed + 1)
    done = []
    for rank in range(job.size):
        other, own = [], []
        for one in job.done[rank]:
            if one.kind != "compute":
                continue
            later = SCALE * int(rng.integers(0, 25))
            own.append(one)
            start = max(one.start + later, other[-1].end if other else 0)
            length = one.end - one.start
            args = {"start": start, "end": start + length, "device": 1}
            other.append(Activity(**{**one.__dict__, **args}))
        done.append(own + other)
    return Job(job.size, job.groups, done, job.marks, job.fault, job.seed)


def idle_instants(job: Job, rank: int) -> list[int]:
    """When a rank does nothing: a clock that jumps within an activity makes that one long."""
    own = job.done[rank]
    found = [one.end for one in own if not any(a.start < one.end < a.end for a in own)]
    return found or [0]


def planted(seed: int, fault: str) -> Job:
    """The random job with what the fault decides: who is concerned, by how much."""
    job = random_job(seed, fault)
    if fault == "two-devices":
        return two_devices(job)
    rng = np.random.default_rng(seed + 2)
    job.extra["who"] = int(rng.integers(0, job.size))
    job.extra["by"] = int(rng.choice([400, 2000, 10_000, 50_000])) * int(rng.choice([-1, 1]))
    job.extra["count"] = int(rng.integers(1, 4))
    job.extra["launches"] = bool(rng.random() < 0.7)
    job.extra["at"] = int(rng.choice(idle_instants(job, job.extra["who"])))
    job.extra["told"] = str(rng.choice(["numbers", "names"]))
    return job
