"""Ranks and devices: one row per device of a process, one rank per process of a merged file."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.tables.devices import device_of, device_row, rank_label, rank_of
from dpprof.trace.load import load_run

GEMM = "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_32x5_tn"
TOTAL_US = 10_000
Spans = list[tuple[int, int]]
Busy = dict[int, Spans]


class Job(NamedTuple):
    """Busy times of each device of each rank."""

    ranks: dict[int, Busy]


@st.composite
def jobs(draw: st.DrawFn, ranks: st.SearchStrategy[int], devices: st.SearchStrategy[int]) -> Job:
    chance = random.Random(draw(st.integers(0, 2**32)))

    def spans() -> Spans:
        points = sorted(chance.sample(range(20, TOTAL_US, 10), 2 * chance.randint(1, 6)))
        return list(zip(points[::2], points[1::2], strict=True))

    count = draw(devices)
    numbers = chance.sample(range(8), count)
    return Job({rank: {number: spans() for number in numbers} for rank in range(draw(ranks))})


def events_of(busy: Busy, pid: int, first: int) -> Iterator[dict[str, Any]]:
    """Rows of one process; launches are numbered from `first`."""
    host = {"ph": "X", "pid": pid, "tid": pid}
    yield host | {"cat": "user_annotation", "name": "ProfilerStep#0", "ts": 0, "dur": TOTAL_US}
    number = first
    for device, spans in busy.items():
        for start, end in spans:
            args = {"correlation": number}
            launch = {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 5, "dur": 1}
            yield host | launch | {"args": args}
            yield {
                "ph": "X",
                "cat": "kernel",
                "name": GEMM,
                "pid": device,
                "tid": 7,
                "ts": start,
                "dur": end - start,
                "args": args | {"device": device, "stream": 7},
            }
            number += 1


def analyzed(events: list[dict[str, Any]], **header: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "trace.json")
        file.write_text(json.dumps({"traceEvents": events} | header))
        return analyze(load_run(file))


def computing(report: Any) -> dict[int, int]:
    return {rank.rank: rank.states_ns["compute_only"] for rank in report.ranks}


def total_ns(spans: Spans) -> int:
    return sum(end - start for start, end in spans) * 1000


@given(jobs(st.just(1), st.integers(2, 4)))
@settings(deadline=None, max_examples=8)
def test_devices_of_a_process_have_a_row_each(job: Job) -> None:
    busy = job.ranks[0]
    report = analyzed(list(events_of(busy, 100, 1)), distributedInfo={"rank": 0, "world_size": 1})
    first = min(busy)
    rows = {device: 0 if device == first else device_row(0, device) for device in busy}
    assert computing(report) == {rows[device]: total_ns(busy[device]) for device in busy}
    assert all(sum(rank.states_ns.values()) == rank.window_ns for rank in report.ranks)
    assert any("each is a row of its own" in warning for warning in report.warnings)


def labelled(events: Iterator[dict[str, Any]], rank: int) -> list[dict[str, Any]]:
    return [event | {"pid": f"[TP{rank:02d}] {event['pid']}"} for event in events]


def in_two_places(events: Iterator[dict[str, Any]], rank: int) -> list[dict[str, Any]]:
    return [event | {"pid": f"[TP{rank:02d}-EP{rank:02d}] {event['pid']}"} for event in events]


def named(events: Iterator[dict[str, Any]], rank: int) -> list[dict[str, Any]]:
    moved = [event | {"pid": event["pid"] + 1000 * rank} for event in events]
    names = [
        {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": f"rank {rank}: python"}}
        for pid in {event["pid"] for event in moved}
    ]
    return [*names, *moved]


def renumbered(events: Iterator[dict[str, Any]], rank: int) -> list[dict[str, Any]]:
    """Process and launch numbers are moved beyond those of other ranks."""
    return [
        event
        | {"pid": event["pid"] + 1000 * rank}
        | ({"args": moved(event["args"], 1000 * rank)} if "args" in event else {})
        for event in events
    ]


def moved(args: dict[str, Any], by: int) -> dict[str, Any]:
    return args | {"correlation": args["correlation"] + by}


@pytest.mark.parametrize("merge", [labelled, in_two_places, named, renumbered])
@given(jobs(st.integers(2, 4), st.just(1)))
@settings(deadline=None, max_examples=4)
def test_merged_ranks_are_a_rank_per_process(merge: Any, job: Job) -> None:
    events = [
        event
        for rank, busy in job.ranks.items()
        for event in merge(events_of(busy, 100 + rank, 1), rank)
    ]
    random.Random(len(events)).shuffle(events)
    truth = {rank: sum(map(total_ns, busy.values())) for rank, busy in job.ranks.items()}
    assert computing(analyzed(events)) == truth


@given(jobs(st.integers(2, 3), st.integers(2, 3)))
@settings(deadline=None, max_examples=4)
def test_merged_ranks_of_several_devices(job: Job) -> None:
    parts = [labelled(events_of(busy, 100, 1), rank) for rank, busy in job.ranks.items()]
    found = computing(analyzed([event for part in parts for event in part]))
    truth = {
        (rank, None if device == min(busy) else device): total_ns(spans)
        for rank, busy in job.ranks.items()
        for device, spans in busy.items()
    }
    assert {(rank_of(row), device_of(row)): time for row, time in found.items()} == truth


def test_merged_ranks_that_nothing_tells_apart_are_refused() -> None:
    events = [*events_of({0: [(10, 20)]}, 100, 1), *events_of({1: [(10, 20)]}, 200, 1)]
    with pytest.raises(DpprofError, match="several ranks are merged into one file"):
        analyzed(events)


def test_places_in_two_dimensions_are_numbered_with_a_word() -> None:
    pids = ["[TP00-PP00]", "[TP00-PP01]", "[TP01-PP00]", "[TP01-PP01]"]
    events = [
        event | {"pid": f"{pid} {event['pid']}"}
        for pid in pids
        for event in events_of({0: [(10, 30)]}, 100, 1)
    ]
    report = analyzed(events)
    assert computing(report) == dict.fromkeys(range(4), 20_000)
    assert any("their order is taken for it" in warning for warning in report.warnings)


def test_copies_where_no_kernel_runs_are_left_out_with_a_word() -> None:
    events = [*events_of({3: [(10, 20)]}, 100, 1)]
    events.append(events[-1] | {"cat": "gpu_memcpy", "pid": 0, "args": {"device": 0, "stream": 7}})
    report = analyzed(events)
    assert [rank.rank for rank in report.ranks] == [0]
    assert computing(report) == {0: 10_000}
    assert any("1 copies on device 0, where no kernel ran" in one for one in report.warnings)


def memory(device: int, allocated: int, ts: int) -> dict[str, Any]:
    args = {"Device Type": 1, "Device Id": device, "Bytes": 1, "Total Allocated": allocated}
    return {"ph": "i", "name": "[memory]", "pid": 100, "tid": 100, "ts": ts, "args": args}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2**40)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=8)
def test_memory_is_that_of_the_row_s_own_device(changes: list[tuple[int, int]]) -> None:
    events = [*events_of({0: [(10, 20)], 1: [(30, 50)]}, 100, 1)]
    events += [memory(device, size, 10 + at) for at, (device, size) in enumerate(changes)]
    report = analyzed(events)
    for row, device in ((0, 0), (device_row(0, 1), 1)):
        (rank,) = (one for one in report.ranks if one.rank == row)
        peak = max((size for of, size in changes if of == device), default=None)
        assert rank.memory.peak_allocated_bytes == peak


def test_processes_stand_for_devices_that_no_row_names() -> None:
    events = list(events_of({0: [(10, 20)], 1: [(30, 60)]}, 5000, 1))
    for event in events:
        event.get("args", {}).pop("device", None)
    assert computing(analyzed(events)) == {0: 10_000, device_row(0, 1): 30_000}


def test_numbers_of_rows_say_rank_and_device() -> None:
    row = device_row(3, 0)
    assert (rank_of(row), device_of(row), rank_label(row)) == (3, 0, "3, device 0")
    assert (rank_of(7), device_of(7), rank_label(7)) == (7, None, "7")
    assert rank_label(7, {7: 2}) == "7, device 2"


@pytest.mark.parametrize("name", ["MTIA 3", "GPU 3"])
def test_a_device_that_tells_of_its_runtime_is_no_rank(name: str) -> None:
    """MTIA writes what its firmware ran as runtime rows of the device's own process."""
    job = {3: [(20, 120), (200, 260)]}
    firmware = {"ph": "X", "cat": "mtia_runtime", "name": "synchronize", "pid": 3, "tid": 9}
    rows = [
        *events_of(job, 865, 1),
        {"ph": "M", "name": "process_name", "pid": 3, "args": {"name": name}},
        firmware | {"ts": 130, "dur": 1, "args": {"correlation": 10**9, "device": 3}},
    ]
    report = analyzed(rows)
    assert computing(report) == {0: 160_000}
    assert not any("merged" in warning for warning in report.warnings)
