"""Random jobs whose truth is known: what is claimed of waiting is true, or nothing is claimed.

A job is a list of operations over groups; every rank goes through its own in order. What the
traces tell of groups, numbers and peers varies, kernels are lost at the edges, and clocks are off.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run

ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)"
SENDRECV = "ncclDevKernel_SendRecv(x)"
DISPATCH = "void deep_ep::intranode::dispatch<8, 768, 8192>(int4*, float*)"

Ranks = tuple[int, ...]


@pytest.fixture(autouse=True, scope="module")
def without_cache() -> Iterator[None]:
    """Every job is read once: a cache of all of them would be looked through for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPROF_CACHE", "off")
        yield


@dataclass(frozen=True)
class Operation:
    """A collective over `ranks`, or a message from the first to the second of them."""

    group: str
    ranks: Ranks
    kind: str
    size: int
    gaps: tuple[int, ...]  # what each rank computes before it
    transfer: int


@dataclass(frozen=True)
class Job:
    """What happens, and what the traces tell of it."""

    size: int
    groups: dict[str, tuple[str, Ranks]]
    operations: tuple[Operation, ...]
    told: str  # "numbers", "names", "sizes" or "nothing"
    listed: bool
    local: bool
    lost: tuple[int, int, int]  # rank, how many of its first and last kernels are not there
    shift: tuple[int, ...]


def groups_of(size: int) -> dict[str, tuple[str, Ranks]]:
    """The world, experts beside each other, and data parallelism across them."""
    found = {"0": ("default_pg", tuple(range(size)))}
    if size >= 4:
        half = size // 2
        for first in range(0, size, half):
            ranks = tuple(range(first, first + half))
            found[f"e{first}"] = ("EXPERT_MODEL_PARALLEL_GROUP", ranks)
        for first in range(half):
            found[f"d{first}"] = ("DATA_PARALLEL_GROUP", tuple(range(first, size, half)))
    return found


@st.composite
def jobs(draw: Any, shifts: tuple[int, ...] = (0,)) -> Job:
    size = draw(st.sampled_from([2, 3, 4, 6]))
    groups = groups_of(size)
    told = draw(st.sampled_from(["numbers", "names", "sizes", "nothing"]))
    listed = draw(st.booleans()) or (told in ("sizes", "nothing") and len(groups) > 1)
    operations = []
    for _ in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(sorted(groups)))
        ranks = groups[name][1]
        kind = draw(st.sampled_from(["all_reduce", "p2p", "dispatch"]))
        if kind == "dispatch" and not groups[name][0].startswith("EXPERT") and size >= 4:
            kind = "all_reduce"
        if kind == "p2p":
            ranks = tuple(draw(st.permutations(ranks))[:2])
        gaps = tuple(draw(st.lists(st.integers(1, 60), min_size=size, max_size=size)))
        operations.append(
            Operation(
                name, ranks, kind, draw(st.sampled_from([8, 16])), gaps, draw(st.integers(5, 40))
            )
        )
    lost = (draw(st.integers(0, size - 1)), draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    return Job(
        size,
        groups,
        tuple(operations),
        told,
        listed,
        draw(st.booleans()),
        draw(st.sampled_from([(0, 0, 0), lost])),
        tuple(draw(st.lists(st.sampled_from(shifts), min_size=size, max_size=size))),
    )


def played(job: Job) -> list[list[tuple[int, int, int, Operation]]]:
    """Per rank: start, end, when all were there, and what it was."""
    now = [100] * job.size
    ranks: list[list[tuple[int, int, int, Operation]]] = [[] for _ in range(job.size)]
    for one in job.operations:
        starts = {rank: now[rank] + one.gaps[rank] for rank in one.ranks}
        ready = max(starts.values())
        for rank in one.ranks:
            ranks[rank].append((starts[rank], ready + one.transfer, ready, one))
            now[rank] = ready + one.transfer
    return ranks


def words(job: Job, rank: int, one: Operation, number: int) -> dict[str, Any]:
    """What the kernel's metadata tell."""
    description, members = job.groups[one.group]
    if one.kind == "dispatch" or (job.told == "nothing" and one.kind != "p2p"):
        return {}
    said: dict[str, Any] = {"dtype": "Half", "In msg nelems": one.size}
    if one.kind == "p2p":
        sends = one.ranks[0] == rank
        peer = one.ranks[1] if sends else one.ranks[0]
        said["Dst Rank" if sends else "Src Rank"] = members.index(peer) if job.local else peer
        said["Collective name"] = "send" if sends else "recv"
        said |= {"Process Group Name": one.group, "Process Group Ranks": str(list(members))}
        return said
    said["Collective name"] = "allreduce"
    if job.told == "sizes":
        return said | {"Group size": len(members)}
    said |= {"Process Group Name": one.group, "Process Group Description": description}
    return said | ({"Seq": number} if job.told == "numbers" else {})


def events_of(job: Job, rank: int, done: Sequence[tuple[int, int, int, Operation]]) -> list[Any]:
    names = {"all_reduce": ALL_REDUCE, "p2p": SENDRECV, "dispatch": DISPATCH}
    who, first, last = job.lost
    numbers: dict[str, int] = {}
    rows, shift = [], job.shift[rank]
    for place, (start, end, _, one) in enumerate(done):
        number = numbers.setdefault(one.group, 0)
        numbers[one.group] += one.kind != "p2p"
        if rank == who and (place < first or place >= len(done) - last):
            continue
        where = {"device": 0, "stream": 7, "correlation": place + 1}
        launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1}
        rows.append(launch | {"ts": place + 1 + shift, "dur": 0.5, "args": where})
        kernel = {"ph": "X", "cat": "kernel", "name": names[one.kind], "pid": 0, "tid": 7}
        args = where | words(job, rank, one, number)
        rows.append(kernel | {"ts": start + shift, "dur": end - start, "args": args})
    step = {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 1, "tid": 1}
    return [step | {"ts": shift, "dur": 5000}, *rows]


def loaded(job: Job) -> tuple[Any, list[list[tuple[int, int, int, Operation]]]]:
    truth = played(job)
    listed = [
        {"pg_name": name, "pg_desc": about, "ranks": list(ranks)}
        for name, (about, ranks) in job.groups.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        for rank in range(job.size):
            info = {"rank": rank, "world_size": job.size}
            info |= {"pg_config": listed} if job.listed else {}
            events = events_of(job, rank, truth[rank])
            trace = {"traceEvents": events, "distributedInfo": info}
            Path(folder, f"rank{rank}.json").write_text(json.dumps(trace))
        run = load_run(folder)
        run.events  # noqa: B018 - while the traces are there
        return run, truth


def claims(run: Any, job: Job, truth: Any) -> list[tuple[int, int, Operation]]:
    """Ready as found (us, -1 where not known) and as it was, of every kernel that is there."""
    events = run.events
    found = []
    for rank in range(job.size):
        known = {start + job.shift[rank]: (ready, one) for start, _, ready, one in truth[rank]}
        own = events[events["rank"] == rank]
        for start, ready in zip(own["start_ns"], own["ready_ns"], strict=True):
            was, one = known[start // 1000]
            found.append((ready // 1000 if ready >= 0 else -1, was, one))
    return found


@settings(max_examples=25, deadline=None)
@given(jobs())
def test_what_is_claimed_is_true(job: Job) -> None:
    run, truth = loaded(job)
    wrong = [(got, was, one) for got, was, one in claims(run, job, truth) if got not in (-1, was)]
    assert not wrong
    starts = {rank: [at for at, *_ in done] for rank, done in enumerate(truth)}
    report = analyze(run)
    for region in report.regions:
        if region.cause_rank is not None:
            assert region.cause_rank != region.rank
            assert starts[region.cause_rank]
    everything_told = job.told == "numbers" and job.lost[1:] == (0, 0)
    if everything_told and not any(one.kind == "p2p" for one in job.operations):
        assert report.total.unsplit_ns == 0 or not job.listed


@settings(max_examples=10, deadline=None)
@given(jobs())
def test_waiting_is_what_it_was_or_at_least_that(job: Job) -> None:
    run, truth = loaded(job)
    for figures in analyze(run).ranks:
        waited = sum(ready - start for start, _, ready, _ in truth[figures.rank]) * 1000
        if figures.wait_ns is not None:
            assert figures.wait_ns <= waited
            everything = figures.unsplit_ns == 0 and job.lost[0] != figures.rank
            assert not everything or figures.wait_ns == waited


@settings(max_examples=10, deadline=None)
@given(jobs((0, 0, 300, 2000)))
def test_clocks_that_are_off_make_no_wrong_wait(job: Job) -> None:
    run, truth = loaded(job)
    if run.clocks.empty:
        return  # nothing contradicts: the clocks are taken as they are
    residual = dict(zip(run.clocks["rank"], run.clocks["residual_ns"], strict=True))
    events = run.events
    for rank in range(job.size):
        own = events[(events["rank"] == rank) & (events["ready_ns"] >= 0)]
        kernels = {end - start: [] for start, end, *_ in truth[rank]}
        for start, end, ready, one in truth[rank]:
            kernels[end - start].append((ready - start, one))
        for row in own.itertuples():
            slack = sum(max(0, residual.get(one, 0)) for one in range(job.size)) + 2000
            unknown = -1 in residual.values()
            near = [
                abs(max(0, row.ready_ns - row.start_ns) - was * 1000) <= slack
                for was, _ in kernels[round((row.end_ns - row.start_ns) / 1000)]
            ]
            assert unknown or any(near)


def test_the_truth_is_found_where_it_is_told() -> None:
    """The jobs above are none of which nothing could be known."""
    rng, known, total = np.random.default_rng(3), 0, 0
    for told in ("numbers", "names", "sizes", "nothing"):
        groups = groups_of(4)
        operations = tuple(
            Operation(name, groups[name][1], kind, 8, tuple(rng.integers(1, 60, 4).tolist()), 10)
            for name, kind in (("e0", "dispatch"), ("e2", "dispatch"), ("0", "all_reduce"))
        )
        job = Job(4, groups, operations, told, True, True, (0, 0, 0), (0,) * 4)
        run, truth = loaded(job)
        found = claims(run, job, truth)
        known, total = known + sum(got >= 0 for got, _, _ in found), total + len(found)
    assert (known, total) == (28, 32)  # bare all-reduces could be of any group
