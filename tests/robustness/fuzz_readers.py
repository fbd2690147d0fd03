"""Mutated inputs for every reader: each is read, or refused with a `DpprofError`, soon.

``python tests/robustness/fuzz_readers.py [COUNT [SEED [READER]...]]`` gives the counts per reader.
"""

from __future__ import annotations

import gzip
import json
import pickle
import random
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dpprof.costs.load import read_costs
from dpprof.errors import DpprofError
from dpprof.gate.files import read_baseline
from dpprof.gate.rules import read_rule
from dpprof.runs.manifest import read_manifest
from dpprof.schedules.check import check_schedule
from dpprof.schedules.form import read_schedule_file, schedule_to_json
from dpprof.schedules.registry import make_schedule
from dpprof.store.entries import About, CacheEntry, Damaged
from dpprof.store.parquet import to_parquet
from dpprof.tables.columns import SLOTS, make_table
from dpprof.trace.memory.snapshot import read_snapshot
from dpprof.trace.rank.read_file import read_file
from dpprof.trace.read.parse import read_trace

TRACES = Path(__file__).parents[2] / "traces"
TOKENS = (
    *(b"[" * 50, b"{", b"}", b"]", b'"', b",", b":", b"\\", b"\xff", b"\x00", b"\\ud800"),
    *(b"-1", b"1e999", b"NaN", b"null", b"true", b"9" * 400, b'"ph"', b"\x94", b"h\x00", b"."),
)


class Count(NamedTuple):
    """What came of the inputs of a reader."""

    read: int
    refused: int
    slowest_seconds: float


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with one to six random changes."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(out) + 1)
        to = min(len(out), at + chance.choice((1, 4, 30, 2000)))
        match chance.randrange(6):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at:to]
            case 2:
                out[at:at] = chance.choice(TOKENS)
            case 3:
                out[at:at] = out[at:to] * chance.choice((1, 2, 20))
            case 4:
                begin = chance.randrange(len(out) + 1)
                out[at:to] = out[begin : begin + to - at]
            case 5 if chance.random() < 0.3:
                del out[at:]
    return bytes(out)


def overwritten(data: bytes, chance: random.Random) -> bytes:
    """The data with one to six bytes or words changed where they are: its pages stay in place."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(100, len(out) - 8)
        size = chance.choice((1, 1, 2, 4, 8))
        out[at : at + size] = chance.choice((b"\0" * 8, b"\xff" * 8, chance.randbytes(8)))[:size]
    return bytes(out)


class Reader(NamedTuple):
    """How an input is read, a sound one, and how it is changed."""

    read: Callable[[Path], object]
    sound: bytes
    change: Callable[[bytes, random.Random], bytes] = mutated


def fuzz(reader: Reader, count: int, seed: int) -> Count:
    """Read `count` mutations; raises whatever is neither a reading nor a refusal."""
    chance = random.Random(seed)
    done = {True: 0, False: 0}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rank0.json"
        for number in range(count):
            data = reader.change(reader.sound, chance)
            file.write_bytes(data)
            begun = time.process_time()
            try:
                reader.read(file)
                done[True] += 1
            except (DpprofError, Damaged):
                done[False] += 1
            except BaseException as error:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{number}"
                kept.write_bytes(data)
                error.add_note(f"the input is kept: {kept}")
                raise
            slowest = max(slowest, time.process_time() - begun)
    return Count(done[True], done[False], slowest)


def readers() -> dict[str, Reader]:
    """Every reader of what others write, by name."""
    packed = (TRACES / "1f1b" / "rank0.json.gz").read_bytes()
    schedule = make_schedule("dualpipe", 4, 8)
    return {
        "trace": Reader(read_trace, _small_trace(gzip.decompress(packed))),
        "packed trace": Reader(read_trace, packed[:20_000]),
        "trace to tables": Reader(
            lambda file: read_file(file, 0), _small_trace(gzip.decompress(packed), 300)
        ),
        "nsys database": Reader(lambda file: read_file(file, 0), _database()),
        "nsys pages": Reader(lambda file: read_file(file, 0), _database(), overwritten),
        "run.json": Reader(read_manifest, (TRACES / "dualpipe" / "run.json").read_bytes()),
        "baseline": Reader(read_baseline, _baseline()),
        "schedule": Reader(
            lambda file: check_schedule(read_schedule_file(file)),
            json.dumps(schedule_to_json(schedule)).encode(),
        ),
        "costs": Reader(
            lambda file: read_costs(file.read_bytes(), file.name),
            (Path(__file__).parents[2] / "dpprof" / "costs" / "unit.json").read_bytes(),
        ),
        "pickled snapshot": Reader(read_snapshot, pickle.dumps(_snapshot(), 4)),
        "JSON snapshot": Reader(read_snapshot, json.dumps(_snapshot()).encode()),
        "cached table": Reader(_read_table, _table()),
        "rule": Reader(
            lambda file: read_rule(file.read_bytes().decode(errors="replace")),
            b"any.exposed.dispatch_ns > +5% and > 0.5% step and > 1.2x baseline",
        ),
    }


def _small_trace(data: bytes, count: int = 60) -> bytes:
    plain = json.loads(data)
    plain["traceEvents"] = plain["traceEvents"][:count]
    return json.dumps(plain).encode()


def _database() -> bytes:
    """A small export of Nsight Systems: kernels, their launches, ranges."""
    tables = {
        "StringIds": ("id, value", [(1, "gemm"), (2, "cudaLaunchKernel"), (3, "ProfilerStep#1")]),
        "CUPTI_ACTIVITY_KIND_KERNEL": (
            "start, end, deviceId, streamId, correlationId, globalPid, demangledName, shortName",
            [(100 * at, 100 * at + 80, 0, 7, at, 1 << 24, 1, 1) for at in range(40)],
        ),
        "CUPTI_ACTIVITY_KIND_RUNTIME": (
            "start, end, globalTid, correlationId, nameId",
            [(100 * at - 50, 100 * at - 40, 1 << 24 | 5, at, 2) for at in range(40)],
        ),
        "NVTX_EVENTS": (
            "start, end, eventType, globalTid, domainId, textId, text",
            [(0, 4000, 59, 1 << 24 | 5, 0, 3, None), (10, 90, 59, 1 << 24 | 5, 0, None, "F0.0")],
        ),
    }
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA page_size = 512")  # many pages: changes hit their structure too
    for name, (columns, rows) in tables.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
    connection.commit()
    return connection.serialize()


def _baseline() -> bytes:
    from dpprof.gate.files import baseline_text
    from dpprof.gating import read_side
    from dpprof.trace.load import load_run

    return baseline_text(read_side([str(TRACES / "1f1b")], load_run).snapshot).encode()


def _snapshot() -> dict[str, object]:
    frames = [{"filename": "/torch/optim/adam.py", "name": "step", "line": 1}]
    actions = ("segment_alloc", "alloc", "free_requested", "free_completed")
    entries = [
        {"action": action, "addr": 512 * at, "size": 512, "time_us": at, "frames": frames}
        for at in range(20)
        for action in actions
    ]
    block = {"address": 0, "size": 512, "state": "active_allocated", "frames": frames}
    segment = {"device": 0, "address": 0, "total_size": 2**21, "blocks": [block] * 3}
    return {"segments": [segment], "device_traces": [entries]}


def _table() -> bytes:
    columns = {"rank": [0, 0], "slot": ["F0.0", "B0.0"], "start_ns": [0, 5], "end_ns": [5, 9]}
    return to_parquet(make_table(SLOTS, columns | {"operation": ["F", "B"], "step": [0, 0]}))


def _read_table(file: Path) -> object:
    """As an entry of the cache is read whose index is sound, checksum and all."""
    content = file.read_bytes()
    files = {"rank0": (len(content), zlib.crc32(content))}
    about = About(source="", digest=0, stamps=[], files=files, rest={})
    file.rename(file.with_name("rank0.parquet"))
    return CacheEntry(file.parent, about).table("rank0")


def main() -> None:
    """Print the counts."""
    given = sys.argv[1:]
    count = int(given[0]) if given else 2000
    seed = int(given[1]) if len(given) > 1 else 0
    known = readers()
    for name in given[2:] or known:
        found = fuzz(known[name], count, seed)
        print(
            f"{name}: {found.read} read, {found.refused} refused, "
            f"slowest {found.slowest_seconds:.2f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
