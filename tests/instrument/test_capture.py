"""A capture writes one sound trace and a manifest, or nothing."""

from __future__ import annotations

import gzip
import json
import threading

import pytest

torch = pytest.importorskip("torch", reason="capturing needs torch")

import dpprof  # noqa: E402
from dpprof.errors import DpprofError  # noqa: E402
from dpprof.runs.manifest import Steps, read_manifest  # noqa: E402


def _train(capture, steps):
    """Two labelled lanes whose true order is known: the side lane starts inside the main one."""
    for _ in range(steps):
        started = threading.Event()

        def side(started=started):
            with dpprof.label("dispatch", action="F0.0", layer=0):
                started.set()

        with dpprof.label("compute", action="F0.0", component="attention"):
            lane = threading.Thread(target=side, name="communication")
            lane.start()
            started.wait()
            lane.join()
        block = torch.empty(4096, dtype=torch.uint8)
        del block
        capture.step(loss=0.5)


def _events(folder, rank=0):
    trace = json.loads(gzip.decompress((folder / f"rank{rank}.json.gz").read_bytes()))
    return trace, trace["traceEvents"]


def test_trace_holds_labels_of_every_thread_on_one_clock(tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=1, steps=3) as capture:
        _train(capture, 4)
    _, events = _events(tmp_path / "run")
    main = [e for e in events if e["name"] == "dpprof:compute action=F0.0 component=attention"]
    side = [e for e in events if e["name"] == "dpprof:dispatch action=F0.0 layer=0"]
    assert len(main) == len(side) == 3
    for outer, inner in zip(main, side, strict=True):
        assert outer["tid"] != inner["tid"]
        assert outer["pid"] == inner["pid"]
        # The side lane ran inside the main one; its clock is tied to within microseconds.
        assert outer["ts"] - 20 <= inner["ts"]
        assert inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"] + 20
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {names[e["tid"]].split("(")[1] for e in side} == {"communication)"}


def test_trace_holds_memory_events_and_metadata(tmp_path):
    with dpprof.capture(
        tmp_path / "run", warmup=1, steps=1, source="emulated", allocated_before_bytes=7
    ) as capture:
        _train(capture, 2)
    trace, events = _events(tmp_path / "run")
    assert 4096 in [e["args"]["Bytes"] for e in events if e["name"] == "[memory]"]
    assert trace["dpprof"]["source"] == "emulated"
    assert trace["dpprof"]["allocated_before_bytes"] == 7


def test_manifest_says_which_steps_were_kept(tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=2, steps=1) as capture:
        _train(capture, 5)
    manifest = read_manifest(tmp_path / "run" / "run.json")
    assert manifest.steps == Steps(warmup=[0, 1], measured=[2])
    assert manifest.source == "captured"
    assert manifest.losses == [0.5] * 5


def test_nothing_is_written_when_the_loop_fails(tmp_path):
    def fail():
        with dpprof.capture(tmp_path / "run", warmup=1, steps=1):
            raise RuntimeError("the loop's own")

    with pytest.raises(RuntimeError, match="the loop's own"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_too_few_steps_are_an_error_that_says_so(tmp_path):
    def run():
        with dpprof.capture(tmp_path / "run", warmup=1, steps=5) as capture:
            _train(capture, 1)

    with pytest.raises(DpprofError, match="saw 1 of 6 steps"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DpprofError, match="already holds a run"), dpprof.capture(tmp_path):
        pass
    assert (tmp_path / "run.json").read_text() == "{}"


def test_labels_outside_a_capture_are_plain_blocks():
    with dpprof.label("compute", action="F0.0"), dpprof.slot_label("F0.0"):
        ran = True
    assert ran


def test_a_loop_that_ends_early_keeps_the_steps_it_made(tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=1, steps=5) as capture:
        _train(capture, 3)
    manifest = read_manifest(tmp_path / "run" / "run.json")
    assert manifest.steps == Steps(warmup=[0], measured=[1, 2])
