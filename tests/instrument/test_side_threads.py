"""Labels of side threads lie on the thread that a GPU trace's launches are on."""

from __future__ import annotations

import gzip
import json
import threading

import pytest

from dpprof.instrument.labels import LabelRecorder
from dpprof.instrument.trace_writer import TraceWriter

LABEL = "dpprof:p2p way=send"


def label_thread(tmp_path, ident, launching):
    """The number of the thread under which a side label is written."""
    thread = threading.Thread(name="send >1")
    thread._ident, thread._native_id = ident, 23007
    recorder = LabelRecorder(1, lambda text: None)
    recorder.spans.append((thread, LABEL, 1000, 2000))
    launches = [
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaMemcpyAsync", "pid": 5, "tid": tid, "ts": 1}
        for tid in launching
    ]
    export, target = tmp_path / "export.json", tmp_path / "rank0.json.gz"
    export.write_text(json.dumps({"traceEvents": launches}))
    writer = TraceWriter(export, target, recorder)
    writer.start(lambda path: None)
    writer.finish({})
    events = json.loads(gzip.decompress(target.read_bytes()))["traceEvents"]
    by_name = {event["name"]: event for event in events}
    assert by_name["thread_name"]["tid"] == by_name[LABEL]["tid"]
    return by_name[LABEL]["tid"]


@pytest.mark.parametrize(
    ("ident", "launching", "expected"),
    [
        (0x7F005D401700, [11, 0x5D401700], 0x5D401700),
        (0x7F00DD401700, [11, 0xDD401700 - 2**32], 0xDD401700 - 2**32),  # as a signed number
        (0x7F00DD401700, [11, 2**32 - 0xDD401700], 2**32 - 0xDD401700),  # its sign left out
        (0x7F005D401700, [11, 23007], 23007),  # a thread that the profiler knows
        (0x7F005D401700, [], 23007),  # a trace without a GPU
    ],
)
def test_the_number_is_the_one_of_the_launches(tmp_path, ident, launching, expected):
    assert label_thread(tmp_path, ident, launching) == expected
