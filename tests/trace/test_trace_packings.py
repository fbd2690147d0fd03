"""Traces packed in any way are read; what is no trace of torch.profiler is named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sqlite3
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.read.parse import read_trace

ROW = {"ph": "X", "cat": "kernel", "name": "gémm", "pid": 0, "tid": 7, "ts": 1, "dur": 2}


def document(rows: int = 1) -> bytes:
    events = [ROW | {"ts": number * 10} for number in range(rows)]
    return json.dumps({"traceEvents": events}, ensure_ascii=False).encode()


def zipped(data: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names or ("trace.json",):
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(data: bytes, *names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names or ("trace.json",):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def recoded(encoding: str) -> Any:
    return lambda data: data.decode().encode(encoding)


LAYERS = {
    "gzip": gzip.compress,
    "zip": zipped,
    "tar": tarred,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
TEXTS = {
    name: recoded(name) for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
}


@given(
    st.sampled_from(sorted(TEXTS)), st.lists(st.sampled_from(sorted(LAYERS)), max_size=2),
    st.integers(1, 3000),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_packed_traces_are_read(
    tmp_path_factory: pytest.TempPathFactory, text: str, layers: list[str], rows: int
) -> None:
    data = TEXTS[text](document(rows))
    for layer in layers:
        data = LAYERS[layer](data)
    file = tmp_path_factory.mktemp("packed") / "rank0.json"
    file.write_bytes(data)
    if "zip" in layers[:-1]:
        with pytest.raises(DpprofError, match="zip archive within another; unpack it first"):
            read_trace(file)
        return
    trace = read_trace(file)
    assert (len(trace.name), trace.names) == (rows, ("gémm",))
    assert trace.start_ns.tolist() == [number * 10_000 for number in range(rows)]
    assert trace.damage == ()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_of_several_files_are_refused(tmp_path: Path, pack: Any) -> None:
    file = tmp_path / "rank0.zip"
    file.write_bytes(pack(document(), "rank0.json", "rank1.json"))
    with pytest.raises(DpprofError, match=r"rank0\.zip.*archive of several files.*unpack it"):
        read_trace(file)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: bz2.compress(data, 1)])
def test_a_packing_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, pack: Any) -> None:
    file, chance = tmp_path / "rank0.json", random.Random(0)
    rows = [ROW | {"ts": chance.randrange(10**9)} for _ in range(20_000)]
    whole = pack(json.dumps(rows).encode())
    file.write_bytes(whole[: len(whole) * 2 // 3])
    trace = read_trace(file)
    assert 1000 < len(trace.name) < 20_000
    assert "the packed stream is" in trace.damage[0]


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table CUPTI_ACTIVITY_KIND_KERNEL (start int)")
    return connection.serialize()


FOREIGN = {
    "run.sqlite": (database(), "SQLite database, as Nsight Systems"),
    "run.nsys-rep": (b"\x01\x02nsys", "report of Nsight Systems.*nsys export"),
    "run.pftrace": (b"\x0a\x10\x08\x01\x50\x02", r"Perfetto trace \(protobuf\).*traceconv json"),
    "rank0.json": (b"\x0a\x10\x08\x01\x50\x02", "Perfetto trace"),
    "run.parquet": (b"PAR1....", "Parquet table"),
    "memory.pickle": (b"\x80\x04\x95", "Python pickle"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_other_programs_are_named(tmp_path: Path, name: str, pack: Any) -> None:
    content, says = FOREIGN[name]
    file = tmp_path / name
    file.write_bytes(pack(content))
    with pytest.raises(DpprofError, match=says) as raised:
        read_trace(file)
    assert str(file) in str(raised.value)


def process(pid: Any, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}


BARE = {"ph": "X", "name": "mul", "tid": 1, "ts": 1, "dur": 2}


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([process(1, "/device:GPU:0"), BARE | {"pid": 1}], r"profiler of XLA \(JAX"),
        ([BARE | {"pid": "CUDA functions"}], r"old torch\.autograd\.profiler"),
        ([process(3, "Ascend Hardware"), BARE | {"pid": 3}], "trace_view.json of the Ascend NPU"),
        ([BARE | {"pid": 3, "cat": "mine"}], "no steps and no memory events that can be read"),
    ],
)
def test_rows_of_other_profilers_are_named(tmp_path: Path, events: list[Any], says: str) -> None:
    file = tmp_path / "rank0.json"
    file.write_text(json.dumps(events))
    with pytest.raises(DpprofError, match=says):
        load_run(file)


def test_rows_of_an_ascend_device_that_have_a_category_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rank0.json"
    file.write_text(json.dumps([process(3, "Ascend Hardware"), BARE | {"pid": 3, "cat": "kernel"}]))
    assert len(load_run(file).events) == 1
