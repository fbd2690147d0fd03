"""Ranks that the user gives to traces."""

from __future__ import annotations

import json
import shutil

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.source.files import find_files


def write(file, **header):
    kernel = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 1.0, "dur": 2.0}
    event = kernel | {"args": {"device": 0, "stream": 7, "correlation": 1}}
    file.write_text(json.dumps({"schemaVersion": 1, "traceEvents": [event], **header}))
    return file


def test_ranks_are_given_as_text_or_as_a_mapping(tmp_path):
    one, other = write(tmp_path / "host,a=1.json"), write(tmp_path / "host b.json")
    for path in (f"3={one},1={other}", {3: one, 1: str(other)}):
        files = find_files(path)
        assert (files.ranks, files.traces) == ((1, 3), (other, one))
        run = load_run(path)
        assert run.files == {1: other, 3: one}
        assert sorted(run.events["rank"].tolist()) == [1, 3]


def test_what_is_given_counts_before_what_the_trace_says(tmp_path):
    said = {"distributedInfo": {"rank": 0, "world_size": 2}}
    one, other = write(tmp_path / "rank0.json", **said), tmp_path / "again.json"
    shutil.copy(one, other)
    with pytest.raises(DpprofError, match=r"both hold rank 0.*give ranks: 0=FILE,1=FILE"):
        load_run([one, other])
    for _ in range(2):  # read, then taken from the cache
        run = load_run(f"0={one},1={other}")
        assert run.files == {0: one, 1: other}
        assert "again.json: says that it is rank 0; taken for rank 1, as given" in run.warnings
    assert load_run(other).files == {0: other}


def test_a_wrong_gift_is_refused(tmp_path):
    one = write(tmp_path / "a.json")
    with pytest.raises(DpprofError, match="gives rank 0 twice"):
        find_files(f"0={one},0={one}")
    with pytest.raises(DpprofError, match=r"b\.json: no such file"):
        find_files(f"0={tmp_path}/b.json")
    with pytest.raises(DpprofError, match="no such file or folder"):
        find_files(f"zero={one}")
    with pytest.raises(DpprofError, match="no trace file given"):
        find_files({})
