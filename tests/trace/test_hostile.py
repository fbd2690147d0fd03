"""Damaged and malicious traces: read as far as they are sound, alike by both engines."""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.read import parallel, parse
from dpprof.trace.read.columns import CATEGORIES, TraceColumns
from dpprof.trace.read.engines import has_compiled
from dpprof.trace.read.json_values import integer, nanoseconds
from dpprof.trace.read.parse import parse_trace

FILE = Path("rank0.json")
ENGINES = [
    pytest.param(False, id="python"),
    pytest.param(
        True,
        id="compiled",
        marks=pytest.mark.skipif(not has_compiled(), reason="built without a C compiler"),
    ),
]
needs_compiled = pytest.mark.skipif(not has_compiled(), reason="built without a C compiler")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(parse, "has_compiled", lambda: request.param)
    return bool(request.param)


def contents(trace: TraceColumns) -> dict[str, Any]:
    """Everything that was read, free of how it is numbered."""
    columns: dict[str, Any] = {
        name: getattr(trace, name).tolist()
        for name in ("category", "start_ns", "end_ns", "correlation", "device", "bytes")
    }
    for name, values in (("name", trace.names), ("thread", trace.threads)):
        columns[name] = [values[code] for code in getattr(trace, name)]
    for name, values in (("stream", trace.streams), ("collective", trace.collectives)):
        columns[name] = [values[code] if code >= 0 else None for code in getattr(trace, name)]
    columns["unread"] = trace.unread
    memory = {key: value.tolist() for key, value in vars(trace.memory).items()}
    rest = (
        trace.thread_names, trace.distributed, trace.dpprof, trace.skipped, trace.host_name
    )  # fmt: skip
    return columns | {"memory": memory, "rest": rest, "is_damaged": bool(trace.damage)}


def outcome(data: bytes, compiled: bool, *, pieces: int | None = None) -> Any:
    """The contents, or "refused"; with `pieces`, read in pieces of so many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "has_compiled", lambda: compiled)
        if pieces is not None:
            patch.setattr(parse, "_PIECE_BYTES", pieces)
            patch.setattr(parallel, "_PIECE_BYTES", pieces)
        try:
            return contents(parse_trace(data, FILE))
        except DpprofError:
            return "refused"


def sample(seed: int = 0, events: int = 12) -> dict[str, Any]:
    """A small trace with something of everything that is read."""
    one = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(events):
        cat = one.choice([*CATEGORIES, "python_function", "ac2g"])
        args: dict[str, Any] = {
            "stream": one.choice([7, "7", 20]),
            "correlation": number,
            "bytes": one.choice([1, "18", 2**70]),
            "Input Dims": [[], [[8, 3]], [1.5e3]],
            "Collective name": one.choice(["allreduce", "send", None]),
            "Process Group Ranks": one.choice(["[0, 1]", [0, 1]]),
            "Seq": number,
        }
        times = {"ts": 1_700_000_000_000_000 + number * 1.5, "dur": number}
        rows.append(
            {"ph": "X", "cat": cat, "name": one.choice(["é \\", 'a "b"', "gemm"]), "pid": 1}
            | {"tid": one.choice([3, "stream 7"])}
            | times
            | {"args": args}
        )
        rows.append({"ph": "i", "name": "[memory]", "ts": number, "args": {"Bytes": number}})
        rows.append({"ph": "M", "name": "thread_name", "tid": 3, "args": {"name": f"t{number}"}})
        rows.append({"ph": one.choice("sf"), "cat": cat, "id": number, "ts": 1})
    head = {"distributedInfo": {"rank": 3}, "deviceProperties": [{"id": 0}]}
    return {**head, "traceEvents": rows, "baseTimeNanoseconds": 1000, "dpprof": {"a": [1]}}


def layouts(trace: Any) -> list[bytes]:
    return [
        json.dumps(trace, ensure_ascii=False).encode(),
        json.dumps(trace, indent=2, sort_keys=True).encode(),
        json.dumps(trace["traceEvents"], separators=(",", ":")).encode(),
    ]


MUTATIONS: list[Callable[[random.Random, bytearray], None]] = [
    lambda one, data: data.__setitem__(one.randrange(len(data)), one.randrange(256)),
    lambda one, data: data.__delitem__(slice(one.randrange(len(data)), None)),
    lambda one, data: data.__delitem__(one.randrange(len(data))),
    lambda one, data: data.insert(one.randrange(len(data)), one.choice(b'"{}[]:,\\\x00\xff0-')),
    lambda one, data: _swap(one, data, rb"NaN"),
    lambda one, data: _swap(one, data, rb"-Infinity"),
    lambda one, data: _swap(one, data, rb"1e99999"),
    lambda one, data: _swap(one, data, b"9" * 400),
    lambda one, data: _swap(one, data, b"null"),
    lambda one, data: _swap(one, data, b"[[[[{}]]]]"),
    lambda one, data: _swap(one, data, b'"\\ud800"'),
    lambda one, data: _swap(one, data, b'"C:\\Users\n"'),
    lambda one, data: _swap(one, data, b"[" * 600 + b"]" * 600),
]


def _swap(one: random.Random, data: bytearray, value: bytes) -> None:
    """Put `value` in the place of what follows some colon."""
    colon = data.find(b":", one.randrange(len(data)))
    comma = data.find(b",", colon)
    if 0 <= colon < comma:
        data[colon + 1 : comma] = value


def mutated(data: bytes, seed: int) -> bytes:
    one = random.Random(seed)
    changed = bytearray(data)
    for _ in range(one.randint(1, 3)):
        if changed:
            one.choice(MUTATIONS)(one, changed)
    return bytes(changed)


@needs_compiled
@given(st.integers(0, 2**32), st.integers(20, 3000))
@settings(max_examples=60, deadline=None)
def test_engines_and_pieces_make_no_difference(seed: int, pieces: int) -> None:
    for data in layouts(sample(seed)):
        whole = outcome(data, compiled=True)
        assert whole != "refused"
        assert outcome(data, compiled=True, pieces=pieces) == whole
        assert outcome(data, compiled=False, pieces=pieces) == whole


@needs_compiled
@given(st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_engines_agree_on_damaged_traces(seed: int) -> None:
    data = mutated(layouts(sample(seed % 7, events=4))[seed % 3], seed)
    assert outcome(data, compiled=True) == outcome(data, compiled=False)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["X", "i", "M", "kernel", "[memory]", "thread_name", "1.5", "NaN", "-3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["ph", "cat", "name", "pid", "tid", "ts", "dur", "args"])
NUMBER_KEYS = ["stream", "device", "correlation", "bytes", "Seq", "Bytes", "Total Allocated"]
TEXT_KEYS = ["Collective name", "Process Group Ranks", "name", "dtype"]
ARGUMENT_KEYS = st.sampled_from([*NUMBER_KEYS, *TEXT_KEYS, "In msg nelems", "Device Type"])
PLAIN = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2}


@given(
    st.sampled_from([PLAIN, {"ph": "i", "name": "[memory]", "ts": 3}]),
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.none() | st.dictionaries(ARGUMENT_KEYS, VALUES, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_any_type_in_any_field_is_read_or_counted(
    event: dict[str, Any], wrong: dict[str, Any], arguments: dict[str, Any] | None
) -> None:
    odd = event | wrong | ({} if arguments is None else {"args": arguments})
    data = json.dumps([PLAIN, odd, PLAIN]).encode()
    plain = outcome(data, compiled=False)
    assert 2 <= len(plain["start_ns"]) <= 3
    assert len(plain["start_ns"]) + len(plain["memory"]["at_ns"]) + plain["rest"][3] <= 3
    if has_compiled():
        assert outcome(data, compiled=True) == plain


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)


@given(NUMBERS)
@settings(max_examples=300, deadline=None)
def test_times_are_cut_off_to_whole_nanoseconds(number: str) -> None:
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits, shift = int(whole + fraction), int(exponent or 0) + 3 - len(fraction)
    exact = abs(digits) * 10**shift if shift >= 0 else abs(digits) // 10**-shift
    value = nanoseconds(number.encode())
    assert value == (None if exact >= 2**62 else -exact if number.startswith("-") else exact)
    data = json.dumps([PLAIN]).replace('"ts": 1', f'"ts": {number}').encode()
    if has_compiled():
        found = outcome(data, compiled=True)
        assert found["start_ns"] == ([] if value is None else [value])


@given(st.integers(-(2**70), 2**70))
def test_integers_that_need_more_than_64_bits_are_not_known(number: int) -> None:
    assert integer(str(number).encode()) == (number if abs(number) < 2**63 else -1)


def events_of(*texts: str, tail: str = "]}") -> bytes:
    return ('{"traceEvents": [' + ",".join(texts) + tail).encode()


def named(name: str, more: str = "") -> str:
    return (
        f'{{"ph":"X","cat":"kernel","name":"{name}","pid":0,"tid":7,"ts":1,"dur":2'
        f'{more},"args":{{"stream":7}}}}'
    )


@pytest.mark.parametrize(
    ("data", "names", "says"),
    [
        (events_of(named("a", ',"x":NaN')), ["a"], "NaN or Infinity, first at byte @NaN"),
        (events_of(named("a", ',"x":[-Infinity]')), ["a"], "NaN or Infinity"),
        (events_of(named("a\tb"), named("c\n")), ["a b", "c "], "control characters in a string"),
        (events_of(named("C:\\Users\\x")), ["C:?Users?x"], "unknown escapes"),
        (events_of(named("a") + ","), ["a"], "commas before a closing bracket"),
        (events_of(named("a"), named("b"), tail=""), ["a", "b"], "ends in the middle of the JSON"),
        (events_of(named("a"), named("b")[:-30], tail=""), ["a"], "the 1 whole events are read"),
        (events_of(named("a"), "{'ph': 1}"), ["a"], "events that are not valid JSON, first at"),
        (events_of(named("a"), tail="]} extra"), ["a"], "is not valid JSON at byte"),
        (b"\xef\xbb\xbf" + events_of(named("a")), ["a"], None),
        (events_of(named("a"), '{"x":' + "[" * 9999 + "]" * 9999 + "}"), ["a"], "nests values"),
    ],
)  # fmt: skip
def test_unsound_json_is_read_as_far_as_it_is_sound(
    engine: bool, data: bytes, names: list[str], says: str | None
) -> None:
    trace = parse_trace(data, FILE)
    assert [trace.names[code] for code in trace.name] == names
    assert len(trace.damage) == (says is not None)
    says = re.sub("@(NaN|'ph)", lambda found: str(data.index(found[1].encode())), says or "")
    assert says in (trace.damage or ("",))[0]


def test_bad_utf8_is_replaced_and_named(engine: bool) -> None:
    data = events_of(named("a#b"), named("é")).replace(b"#", b"\xff\xc3")
    trace = parse_trace(data, FILE)
    assert trace.names == ("a??b", "é")
    byte = data.index(b"\xff")
    assert trace.damage == (
        f"bytes that are not UTF-8, first at byte {byte}, 2 in all: read as missing",
    )


def test_what_follows_the_events_counts_where_the_end_is_missing(engine: bool) -> None:
    tail = '], "baseTimeNanoseconds": 5000, "dpprof": {"a": 1}, "traceName": "/tmp'
    trace = parse_trace(events_of(named("a"), tail=tail), FILE)
    assert (trace.start_ns.tolist(), trace.dpprof) == ([6000], {"a": 1})
    assert "ends in the middle" in trace.damage[0]


@needs_compiled
def test_real_traces_when_damaged(shared_data: Path) -> None:
    files = sorted(shared_data.rglob("*.json.gz"))
    for number, file in enumerate(files):
        with gzip.open(file) as stream:
            head = stream.read(60_000)
        for seed in range(6):
            data = mutated(head, 100 * number + seed)
            assert outcome(data, compiled=True) == outcome(data, compiled=False), (file, seed)


BOMB = """
import gzip, resource, sys
from pathlib import Path
from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.read import parse
from dpprof.trace.read.parse import read_trace
parse._MOST_EVENT_BYTES = 64 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(read_trace(Path(sys.argv[1])).name))
except DpprofError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("head", "filling", "says"),
    [
        (b'{"traceEvents": [{"ph": "X", "name": "', b"a", "one value of more than"),
        (b'{"traceEvents": [', b" ", "one value of more than"),
        (b'{"traceEvents": [', b"[", "nests values more than 500 deep"),
        (b"", b"\0", "not valid JSON (byte 0)"),
        (b'{"traceEvents": [0', b",0", "ends in the middle of the JSON"),
    ],
)
def test_bombs_take_little_memory(tmp_path: Path, head: bytes, filling: bytes, says: str) -> None:
    file = tmp_path / "rank0.json.gz"
    with gzip.open(file, "wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(200):
            stream.write(filling * ((1 << 20) // len(filling)))
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(file)], capture_output=True, text=True, check=True
    )
    result, peak_kib = done.stdout.splitlines()
    assert says in result
    assert int(peak_kib) < 400 << 10


def test_contents_see_every_column() -> None:
    read = {field.name for field in dataclasses.fields(TraceColumns)}
    seen = set(contents(parse_trace(b"[]", FILE))) | {"thread_names", "distributed", "dpprof"}
    seen |= {"host_name", "process_names", "devices"}
    assert read <= seen | {"skipped", "damage", "names", "threads", "streams", "collectives"}


WORDS = """ProfilerStep#5|nccl:send 0->1|PP:0F1|PP:99999999F1|PP:(0F1;1B0)OVERLAP_F_B|forward_step
|dpprof:p2p slot=F0.0 group=0>1 peer=1 sequence=0 bytes=8|dpprof:slot slot=F0.0&B0.1|7|1>2#3 4>5#1
|dpprof:dispatch group=a#b> sequence=-5|token_dispatch|all_to_allv|\0|"""
ODD_VALUES = st.sampled_from(WORDS.replace("\n", "").split("|")) | st.sampled_from(
    [None, -1, 0, 2**63, 2**70, 1e308, [], {}, True, 10**12]
)
KEYS = """name|cat|ph|ts|dur|pid|tid|args|Src Rank|Dst Rank|stream|Process Group Name|Seq|Bytes|Addr
|Process Group Ranks|Collective name|correlation|Total Allocated|Device Type|In msg nelems|dtype
|device"""
ODD_KEYS = st.sampled_from(KEYS.replace("\n", "").split("|"))


def small_trace(build: Any, rank: int) -> list[dict[str, Any]]:
    """Something of everything."""
    kernel, said = type(build.kernel)(), {"Process Group Name": "0", "Seq": 1}
    events = [build.step(3, 0, 100), build.step(4, 100, 100)]
    for at in (0, 100):
        events += [build.annotation("PP:0F0", at, 30), build.annotation("PP:0B0", at + 40, 30)]
        events += [kernel("gemm", at + 1, at + 2, 20), kernel("gemm", at + 41, at + 45, 20)]
        events += kernel("ncclDevKernel_AllReduce", at + 5, at + 25 + rank, 9, stream=9, **said)
        events += kernel("ncclDevKernel_SendRecv", at + 8, at + 35, 5, stream=10)
        events += [build.memory(at + 3, 100, kind=1, Addr=7), build.operator("aten::mm", at, 9)]
    return [one for event in events for one in (event if isinstance(event, list) else [event])]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_events_say_a_run_is_analyzed_or_refused(
    build: Any, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    for rank in range(2):
        events = small_trace(build, rank)
        for _ in range(data.draw(st.integers(0, 8))):
            event = data.draw(st.sampled_from(events))
            key, value = data.draw(ODD_KEYS), data.draw(ODD_VALUES)
            inner = event.get("args") if key not in event else None
            (inner if isinstance(inner, dict) else event)[key] = value
        info = {"rank": rank, "world_size": data.draw(st.sampled_from([2, 2, 1, 5]))}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    try:
        report = analyze(load_run(folder, whole_trace=data.draw(st.booleans())))
    except DpprofError:
        return
    for one in report.ranks:
        assert sum(one.states_ns.values()) == one.window_ns
