from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.read.columns import Category
from dpprof.trace.read.parse import parse_trace

FILE = Path("rank0.json")


def one_span(ts: str, dur: str = "1", head: str = "") -> bytes:
    event = f'{{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":{ts},"dur":{dur}}}'
    return f'{{{head}"traceEvents":[{event}]}}'.encode()


@pytest.mark.parametrize(
    ("ts", "dur", "base", "start_ns", "end_ns"),
    [
        ("1740461679479712.345", "0.001", 0, 1740461679479712345, 1740461679479712346),
        ("6322354305173.787", "64.748", 1759300074000000000, 1765622428305173787, None),
        ("1698955060096688", "12", 0, 1698955060096688000, 1698955060096700000),
        ("1.7404616794797123E+15", "0", 0, 1740461679479712300, 1740461679479712300),
        ("-0.002", "0.005", 10, 8, 13),
        ("4611686018427387.903", "0", 0, 2**62 - 1, 2**62 - 1),
    ],
)
def test_times_are_exact(ts: str, dur: str, base: int, start_ns: int, end_ns: int | None) -> None:
    trace = parse_trace(one_span(ts, dur, f'"baseTimeNanoseconds":{base},'), FILE)
    assert trace.start_ns.tolist() == [start_ns]
    assert trace.end_ns.tolist() == [start_ns + 64748 if end_ns is None else end_ns]


@given(st.integers(0, 2_000_000_000_000_000_000), st.integers(0, 10**12))
def test_every_nanosecond_survives(start_ns: int, duration_ns: int) -> None:
    ts, dur = Decimal(start_ns).scaleb(-3), Decimal(duration_ns).scaleb(-3)
    trace = parse_trace(one_span(f"{ts:f}", f"{dur:f}"), FILE)
    assert (trace.start_ns[0], trace.end_ns[0]) == (start_ns, start_ns + duration_ns)


def test_a_bare_list_of_events_is_a_trace(build) -> None:
    events = [build.annotation("a", 1, 2)]
    trace = parse_trace(json.dumps(events).encode(), FILE)
    assert (trace.names, trace.start_ns.tolist()) == (("a",), [1000])


def test_only_known_categories_are_kept(build) -> None:
    kinds = ["kernel", "python_function", "Trace", "Runtime", "gpu_user_annotation", "Memcpy"]
    trace = parse_trace(build.encode([build.span(kind, kind, 1, 1) for kind in kinds]), FILE)
    assert [trace.names[code] for code in trace.name] == ["kernel", "Runtime", "Memcpy"]
    assert trace.category.tolist() == [Category.KERNEL, Category.LAUNCH, Category.MEMCPY]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ts": "soon"},
        {"ts": None},
        {"dur": None},
        {"dur": -1},
        {"ts": [1]},
        {"ts": "NaN"},
        {"ts": 1e300},
        {"ts": 21700000000000001},
        {"name": 5},
        {"args": "none"},
        {"args": {"stream": [7]}},
    ],
)
def test_a_damaged_event_is_skipped_and_counted(build, wrong) -> None:
    events = [build.span("kernel", "good", 1, 2), build.span("kernel", "bad", 1, 2) | wrong]
    trace = parse_trace(build.encode(events), FILE)
    assert ([trace.names[code] for code in trace.name], trace.skipped) == (["good"], 1)


def test_a_damaged_event_that_is_not_read_does_not_count(build) -> None:
    events = [build.span("python_function", "f", [1], 2), build.span("kernel", "good", 1, 2)]
    trace = parse_trace(build.encode(events), FILE)
    assert (trace.names, trace.skipped) == (("good",), 0)


def test_numbers_written_as_text_are_read(build) -> None:
    events = [build.span("gpu_memcpy", "Memcpy", 1, 2, stream=3, bytes="18816", correlation="9")]
    trace = parse_trace(build.encode(events), FILE)
    assert (trace.bytes.tolist(), trace.correlation.tolist()) == ([18816], [9])
    huge = parse_trace(build.encode([build.span("kernel", "k", 1, 2, correlation=2**70)]), FILE)
    assert huge.correlation.tolist() == [-1]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "rank0.json: is empty"),
        (b"  \n", "is empty"),
        (b'{"traceEvents": [{"ph": "X", "na', "ends in the middle of the JSON, at byte 32"),
        (b'{"schemaVersion": 1}', "not a profiler trace.*traceEvents"),
        (b'{"traceEvents": 5}', "not a profiler trace"),
        (b'{"traceEvents": null}', "not a profiler trace"),
        (b"\x80\x04pickle", r"not valid JSON.*byte 0"),
        (b"traceEvents: yes", "not valid JSON"),
        (b"3", "not a profiler trace"),
    ],
)
def test_what_is_no_trace_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DpprofError, match=says):
        parse_trace(data, FILE)
