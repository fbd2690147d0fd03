"""The trace for Perfetto: whole on a hand-made run, and sound by the format's own rules."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from dpprof.analysis.accounting.account import account
from dpprof.export import export
from dpprof.runs.run import Run
from dpprof.tables.kinds import EXPOSED_STATES
from dpprof.trace.load import load_run

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
FIELDS = {
    "M": {"ph", "pid", "tid", "name", "args"},
    "X": {"ph", "pid", "tid", "ts", "dur", "name", "cat", "args"},
    "C": {"ph", "pid", "ts", "name", "args"},
    "s": {"ph", "pid", "tid", "ts", "name", "cat", "id"},
    "f": {"ph", "pid", "tid", "ts", "name", "cat", "id", "bp"},
}


def write(run: Run, path: Path):
    export(run, "perfetto", path)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return json.loads(data)


def nanoseconds(value):
    return int(value * 1000.0)


def spans(events):
    """Track -> its slices as (start, end), in order."""
    tracks = defaultdict(list)
    for one in events:
        if one["ph"] == "X":
            start = nanoseconds(one["ts"])
            tracks[one["pid"], one["tid"]].append((start, start + nanoseconds(one["dur"])))
    return {track: sorted(found) for track, found in tracks.items()}


def check_format(trace):
    """What the documented event types ask for, and what Perfetto drops in silence."""
    events = trace["traceEvents"]
    named = {(one["pid"], one.get("tid")) for one in events if one["name"].endswith("_name")}
    tracks = spans(events)
    for one in events:
        assert one.keys() - {"tid"} == FIELDS[one["ph"]] - {"tid"}
        assert one.get("ts", 0) >= 0
        assert one["pid"] > 0, "Perfetto takes process 0 for the idle task"
        assert one["ph"] != "C" or all(
            type(value) in (int, float) for value in one["args"].values()
        )
    for (pid, tid), found in tracks.items():
        assert {(pid, None), (pid, tid)} <= named
        assert all(before[1] <= after[0] for before, after in pairwise(found))
    for begin, end in flows(events):
        assert begin["ts"] <= end["ts"]
        for point in (begin, end):
            at = nanoseconds(point["ts"])
            assert any(first <= at < last for first, last in tracks[point["pid"], point["tid"]])


def flows(events):
    points = defaultdict(dict)
    for one in events:
        if one["ph"] in "sf":
            assert one["ph"] not in points[one["id"]]
            points[one["id"]][one["ph"]] = one
    return [(pair["s"], pair["f"]) for pair in points.values()]


def test_the_whole_trace_of_two_ranks(two_ranks, tmp_path):
    trace = write(two_ranks, tmp_path / "run.json")
    check_format(trace)
    events = trace["traceEvents"]
    about = trace["otherData"]
    assert (about["source"], about["origin_ns"]) == ("emulated", "1700000000000000123")
    titles = [one["args"]["name"] for one in events if one["name"] == "process_name"]
    assert titles == ["rank 0: pipeline rank 0, stages 0 1 (emulated)", "rank 1 (emulated)"]
    lanes = {
        (one["pid"], one["tid"]): one["args"]["name"]
        for one in events
        if one["name"] == "thread_name"
    }
    drawn = defaultdict(list)
    for one in events:
        if one["ph"] == "X":
            start = nanoseconds(one["ts"])
            place = (one["pid"] - 1, lanes[one["pid"], one["tid"]])
            drawn[place].append((one["name"], start, start + nanoseconds(one["dur"])))
    assert drawn == {
        (0, "steps"): [("step 0", 0, 8001)],
        (1, "steps"): [("step 0", 0, 8001)],
        (0, "slots"): [("F0.0", 0, 4000)],
        (1, "slots"): [("F0.0", 1000, 6500)],
        (0, "bubbles"): [("bubble.cooldown", 4000, 7000), ("bubble.cooldown", 8000, 8001)],
        (1, "bubbles"): [("bubble.warmup", 0, 3000), ("bubble.cooldown", 6500, 7000)],
        (0, "stream 7"): [("compute", 0, 3000)],
        (0, "stream 9"): [("p2p", 3000, 4000), ("all_reduce", 5000, 8000)],
        (1, "stream 9"): [("p2p", 1000, 4000), ("all_reduce", 7000, 8001)],
        (1, "stream 7"): [("compute", 4000, 6500)],
    }
    received = next(one for one in events if one["ph"] == "X" and one["args"].get("peer") == 0)
    assert received["args"] == {
        "step": 0, "group": "0>1", "peer": 0, "bytes": 64, "sequence": 0, "waited_us": 2.0,
    }  # fmt: skip
    arrows = [(one["pid"], two["pid"], one["ts"], two["ts"]) for one, two in flows(events)]
    assert arrows == [(1, 2, 3.0, 3.999), (2, 1, 7.0, 7.999)]
    counted = [
        (one["pid"], one["name"], one["ts"], one["args"]) for one in events if one["ph"] == "C"
    ]
    assert counted == [
        (1, "memory", 0.5, {"allocated bytes": 10}),
        (1, "memory", 0.9, {"allocated bytes": 7}),
        (1, "exposed communication", 3.0, {"p2p": 1, "all_reduce": 0}),
        (1, "exposed communication", 4.0, {"p2p": 0, "all_reduce": 0}),
        (1, "exposed communication", 7.0, {"p2p": 0, "all_reduce": 1}),
        (1, "exposed communication", 8.0, {"p2p": 0, "all_reduce": 0}),
        (2, "exposed communication", 3.0, {"p2p": 1, "all_reduce": 0}),
        (2, "exposed communication", 4.0, {"p2p": 0, "all_reduce": 0}),
        (2, "exposed communication", 7.0, {"p2p": 0, "all_reduce": 1}),
        (2, "exposed communication", 8.001000000000001, {"p2p": 0, "all_reduce": 0}),
    ]


@pytest.mark.parametrize("slots", [True, False])
def test_a_send_that_is_noted_late_comes_from_its_slot(late_send, tmp_path, slots):
    run = late_send if slots else replace(late_send, slots=late_send.slots[:0])
    trace = write(run, tmp_path / "run.json")
    check_format(trace)
    events = trace["traceEvents"]
    found = [(begin, end) for begin, end in flows(events) if begin["cat"] == "p2p"]
    if not slots:
        assert not found
        return
    ((begin, end),) = found
    drawn = {one["name"]: one for one in events if one["ph"] == "X" and one["cat"] == "slot"}
    slot = drawn["F0.0&B1.2"]
    assert (begin["pid"], begin["tid"]) == (slot["pid"], slot["tid"])
    assert (begin["ts"], end["pid"], end["ts"]) == (2.499, 2, 2.499)


def exposed_ns(events, kind):
    """Time under the exposed counters of all ranks."""
    total, since = 0, {}
    for one in events:
        if one["name"] == "exposed communication":
            start, value = since.get(one["pid"], (0, 0))
            total += value * (nanoseconds(one["ts"]) - start)
            since[one["pid"]] = (nanoseconds(one["ts"]), one["args"].get(kind, 0))
    return total


@pytest.mark.parametrize(
    "name", ["dualpipe", "1f1b", "deepseek_train.json.gz", "torchrec_a2a_optimizer"]
)
def test_real_runs_are_sound_and_agree_with_the_accounts(name, tmp_path):
    path = REPOSITORY / "traces" / name if (REPOSITORY / "traces" / name).exists() else DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    run = load_run(path)
    trace = write(run, tmp_path / "run.json.gz")
    check_format(trace)
    events = trace["traceEvents"]
    states = account(run).states
    for state in EXPOSED_STATES:
        counted = exposed_ns(events, state.removeprefix("exposed."))
        if len(run.used_steps) == 1 and not run.dropped_steps:
            assert counted == states[state].sum()
    lanes = sum(one["ph"] == "X" and one["cat"] not in ("step", "slot", "bubble") for one in events)
    assert lanes == len(run.events)
    if run.schedule is not None:
        moved = run.events[run.events["kind"] == "p2p"]
        receivers = moved["group"].astype(str).str.partition(">")[2].astype(int)
        received = (receivers == moved["rank"]).sum()
        assert sum(begin["cat"] == "p2p" for begin, _ in flows(events)) == received > 0
