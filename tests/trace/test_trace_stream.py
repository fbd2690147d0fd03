from __future__ import annotations

import codecs
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.read import budget
from dpprof.trace.read.budget import LIMIT_VARIABLE
from dpprof.trace.read.parse import read_trace
from dpprof.trace.read.repair import _bad_utf8, repair
from dpprof.trace.read.unpack import Stream

EVENT = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2}


def trace_bytes(count: int) -> bytes:
    events = [EVENT | {"ts": number, "name": f"k{number}"} for number in range(count)]
    return json.dumps({"traceEvents": events}).encode()


def read_all(file: Path) -> tuple[bytes, list[str]]:
    with Stream(file) as stream:
        pieces = []
        while piece := stream.read(1000):
            assert len(piece) <= 1000
            pieces.append(piece)
        return b"".join(pieces), stream.damage


def test_packing_is_known_by_its_content(tmp_path: Path) -> None:
    packed, plain = tmp_path / "a.json", tmp_path / "b.json.gz"
    packed.write_bytes(gzip.compress(b"[1]" * 5000) + gzip.compress(b"[2]") + b"\0" * 300_000)
    plain.write_bytes(b"[3]")
    assert read_all(packed) == (b"[1]" * 5000 + b"[2]", [])
    assert read_all(plain) == (b"[3]", [])


def test_zstd(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    file = tmp_path / "rank0.json.zst"
    whole = zstandard.compress(trace_bytes(1000)) + zstandard.compress(b"  \n")
    file.write_bytes(whole)
    assert len(read_trace(file).names) == 1000
    whole = zstandard.compress(trace_bytes(100_000))
    file.write_bytes(whole[: len(whole) * 2 // 3])
    trace = read_trace(file)
    assert 0 < len(trace.names) < 100_000
    assert "ends in the middle of the JSON" in trace.damage[-1]


def test_zstd_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file = tmp_path / "rank0.json.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(DpprofError, match=r"packed with zstd; pip install 'dpprof\[zstd\]'"):
        read_trace(file)


@pytest.mark.parametrize("cut", [40, 2000, 9])
def test_a_cut_off_gzip_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "rank0.json.gz"
    whole = gzip.compress(trace_bytes(20_000))
    file.write_bytes(whole[:-cut])
    trace = read_trace(file)
    assert 10_000 < len(trace.names) <= 20_000
    assert trace.start_ns.tolist() == [1000 * number for number in range(len(trace.names))]
    assert "the packed stream is cut off after" in trace.damage[0]


def test_a_damaged_gzip_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "rank0.json.gz"
    whole = bytearray(gzip.compress(trace_bytes(300_000)))
    whole[-1000:-900] = b"\xff" * 100
    file.write_bytes(whole)
    trace = read_trace(file)
    assert 0 < len(trace.names) < 300_000
    assert "at byte" in trace.damage[-1]
    file.write_bytes(gzip.compress(trace_bytes(5)) + b"else")
    trace = read_trace(file)
    assert (len(trace.names), len(trace.damage)) == (5, 1)
    assert "other bytes behind its end" in trace.damage[0]


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rank0.json.gz"
    file.write_bytes(gzip.compress(trace_bytes(1000) + b" " * 1_000_000))
    assert len(read_trace(file).names) == 1000
    monkeypatch.setenv(LIMIT_VARIABLE, "1000000")
    with pytest.raises(DpprofError, match=f"more than 1000000 bytes.*{LIMIT_VARIABLE}"):
        read_trace(file)
    monkeypatch.setenv(LIMIT_VARIABLE, "lots")
    with pytest.raises(DpprofError, match="not a number of bytes"):
        read_trace(file)


def test_little_input_is_little_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces take no memory and kernels much: each has its own bound."""
    monkeypatch.setattr(budget, "_FREE_UNPACKED_BYTES", 1 << 20)
    spaces, kernels = tmp_path / "spaces.json.gz", tmp_path / "kernels.json.gz"
    spaces.write_bytes(gzip.compress(b'{"traceEvents": [' + b" " * (8 << 20)))
    with pytest.raises(DpprofError, match=rf"unpack to \d+ bytes and more.*{LIMIT_VARIABLE}"):
        read_trace(spaces)
    row = b'{"ph":"X","cat":"kernel","name":"","ts":1,"dur":1},'
    kernels.write_bytes(gzip.compress(b"[" + row * 2000 + row[:-1] + b"]", 1))
    monkeypatch.setattr(budget, "_FREE_ROWS", 1000)
    with pytest.raises(DpprofError, match="unpack to 2001 events and more"):
        read_trace(kernels)
    monkeypatch.setenv(LIMIT_VARIABLE, str(200 << 20))  # who says how much means it
    assert len(read_trace(kernels).start_ns) == 2001


def test_a_trace_that_memory_cannot_hold_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rank0.json"
    file.write_bytes(trace_bytes(100))
    monkeypatch.setattr(budget, "free_bytes", lambda: 100 * budget.ROW_BYTES)
    assert len(read_trace(file).names) == 100
    monkeypatch.setattr(budget, "free_bytes", lambda: 100 * budget.ROW_BYTES - 1)
    with pytest.raises(DpprofError, match=r"holds 100 events.*profile fewer steps"):
        read_trace(file)


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DpprofError, match=r"gone\.json: cannot be read"):
        read_trace(tmp_path / "gone.json")
    (tmp_path / "empty.json").touch()
    with pytest.raises(DpprofError, match=r"empty\.json: is empty"):
        read_trace(tmp_path / "empty.json")
    (tmp_path / "empty.json.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(DpprofError, match="is empty"):
        read_trace(tmp_path / "empty.json.gz")
    with pytest.raises(DpprofError, match="cannot be read"):
        read_trace(tmp_path)


def test_bad_bytes_cost_no_more_than_good_ones() -> None:
    """A few hundredths of a second; the bound leaves room for a busy machine."""
    piece = bytearray(b'"' + b"\xff" * 2_000_000 + b'"')
    begun = time.process_time()
    (fault,) = repair(piece, is_last=True)
    assert (fault.byte, fault.count) == (1, 2_000_000)
    assert time.process_time() - begun < 0.5


_SEQUENCES = (
    *(b"a", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\x80", b"\xc3", b"\xe2\x82"),
    *(b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\x80", b"\xf4\x90\x80\x80"),
)


@given(st.lists(st.sampled_from(_SEQUENCES) | st.binary(max_size=4)), st.integers(4, 12))
@pytest.mark.parametrize("is_last", [True, False])
def test_bad_bytes_are_those_that_a_plain_decoder_finds(
    is_last: bool, parts: list[bytes], chunk: int
) -> None:
    data = b"".join(parts)
    wanted, at = [], 0
    while at < len(data):
        try:
            at += codecs.utf_8_decode(data[at:], "strict", is_last)[1]
            break
        except UnicodeDecodeError as error:
            wanted += range(at + error.start, at + error.end)
            at += error.end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dpprof.trace.read.repair._CHUNK_BYTES", chunk)
        assert _bad_utf8(bytearray(data), is_last=is_last).tolist() == wanted


def test_a_trace_that_is_cut_while_it_is_read_ends_no_process(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from dpprof.trace.read import parse\n"
        "real = parse.parse_trace\n"
        "def cut(data, file):\n"
        "    os.truncate(file, 3_000_000)\n"
        "    return real(data, file)\n"
        "parse.parse_trace = cut\n"
        "from pathlib import Path\n"
        "trace = parse.read_trace(Path(sys.argv[1]))\n"
        "assert 0 < len(trace.name) < 100_000 and trace.damage, trace.damage\n"
    )
    file = tmp_path / "rank0.json"
    event = b'{"ph":"X","cat":"kernel","name":"gemm","ts":1,"dur":1,"pid":0,"tid":7},'
    file.write_bytes(b'{"traceEvents":[' + event * 100_000 + event[:-1] + b"]}")
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True)
    assert done.returncode == 0, done.stderr
