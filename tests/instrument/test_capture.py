"""A capture writes one sound trace and a manifest, or nothing."""

from __future__ import annotations

import gc
import gzip
import json
import threading

import pytest

torch = pytest.importorskip("torch", reason="capturing needs torch")

import dpprof  # noqa: E402
from dpprof.errors import DpprofError  # noqa: E402
from dpprof.instrument import CaptureWarning  # noqa: E402
from dpprof.instrument.memory_before import held_on_host  # noqa: E402
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


def test_the_step_before_the_first_is_a_mark_that_ends_where_that_begins(tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=2, steps=1) as capture:
        _train(capture, 3)
    marks = [e for e in _events(tmp_path / "run")[1] if e["name"].startswith("ProfilerStep#")]
    before, first = sorted(marks, key=lambda mark: mark["ts"])
    assert (before["name"], first["name"]) == ("ProfilerStep#1", "ProfilerStep#2")
    assert (before["pid"], before["tid"]) == (first["pid"], first["tid"])
    end = before["ts"] + before["dur"]
    assert first["ts"] - 50 < end < first["ts"] + first["dur"]  # two clocks; 10 us after it
    assert before["dur"] > 0


def test_nothing_is_written_when_the_loop_fails(tmp_path):
    def fail():
        with dpprof.capture(tmp_path / "run", warmup=1, steps=1):
            raise RuntimeError("the loop's own")

    with pytest.warns(CaptureWarning, match="saw 0 of 2 steps"), pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_too_few_steps_are_a_warning_that_says_so(tmp_path):
    with (
        pytest.warns(CaptureWarning, match="saw 1 of 6 steps"),
        dpprof.capture(tmp_path / "run", warmup=1, steps=5) as capture,
    ):
        _train(capture, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_goes_beside_the_first(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with (
        pytest.warns(CaptureWarning, match="holds a run already, so this capture goes to .*run-2"),
        dpprof.capture(tmp_path / "run", warmup=1, steps=1) as capture,
    ):
        _train(capture, 2)
    assert (tmp_path / "run" / "run.json").read_text() == "{}"
    assert read_manifest(tmp_path / "run-2" / "run.json").world_size == 1


def test_a_run_is_replaced_where_that_is_asked_for(tmp_path):
    for steps in (1, 2):
        with dpprof.capture(tmp_path / "run", warmup=1, steps=steps, overwrite=True) as capture:
            _train(capture, 3)
    assert read_manifest(tmp_path / "run" / "run.json").steps.measured == [1, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_what_is_complete_is_written_whatever_ends_the_block(tmp_path, error):
    def fail():
        with dpprof.capture(tmp_path / "run", warmup=1, steps=2) as capture:
            _train(capture, 3)
            raise error

    with pytest.raises(error):
        fail()
    assert read_manifest(tmp_path / "run" / "run.json").steps.measured == [1, 2]
    assert [event for event in _events(tmp_path / "run")[1] if event["name"] == "ProfilerStep#2"]


def test_labels_outside_a_capture_are_plain_blocks():
    with dpprof.label("compute", action="F0.0"), dpprof.slot_label("F0.0"):
        ran = True
    assert ran


def test_a_loop_that_ends_early_keeps_the_steps_it_made(tmp_path):
    with (
        pytest.warns(CaptureWarning, match="saw 3 of 6 steps: 2 are in"),
        dpprof.capture(tmp_path / "run", warmup=1, steps=5) as capture,
    ):
        _train(capture, 3)
    manifest = read_manifest(tmp_path / "run" / "run.json")
    assert manifest.steps == Steps(warmup=[0], measured=[1, 2])


@pytest.mark.parametrize("place", ["file/run", "/proc/none/run"])
def test_a_folder_that_cannot_be_written_is_an_error_on_entering(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(DpprofError, match="cannot be written to"),
        dpprof.capture(tmp_path / place),
    ):
        pytest.fail("was entered")


def _enter(folder):
    with dpprof.capture(folder, warmup=1, steps=1) as capture:
        _train(capture, 2)


def test_inside_another_profiler_a_capture_is_refused(tmp_path):
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]),
        pytest.raises(DpprofError, match=r"torch.profiler is running already"),
    ):
        _enter(tmp_path / "run")


def test_inside_a_capture_other_profilers_and_captures_are_refused(tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=1, steps=1) as capture:
        with pytest.raises(DpprofError, match="a dpprof capture is running"):
            torch.profiler.profile().start()
        with pytest.raises(DpprofError, match=r"capture into .*run is running already"):
            _enter(tmp_path / "other")
        _train(capture, 2)
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        pass  # free again


def test_options_that_are_none_are_named(tmp_path):
    with (
        pytest.raises(DpprofError, match="no option 'step'; did you mean 'steps'"),
        dpprof.capture(tmp_path / "run", step=3),
    ):
        pass


def test_a_schedule_may_be_given_by_its_name(tmp_path):
    given = {"schedule": "1f1b", "micro_batches": 4, "mesh": {"pp": 2}}
    with dpprof.capture(tmp_path / "run", warmup=1, steps=1, manifest=given) as capture:
        _train(capture, 2)
    schedule = read_manifest(tmp_path / "run" / "run.json").schedule
    assert schedule is not None
    assert schedule["ranks"][1][:3] == ["F0.0", "B0.0", "F0.1"]
    with (
        pytest.raises(DpprofError, match="needs its micro_batches"),
        dpprof.capture(tmp_path / "other", manifest={"schedule": "1f1b"}),
    ):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: dpprof.slot_label("fwd0"),
        lambda: dpprof.slot_label(""),
        lambda: dpprof.label("compute", slot="fwd0"),
        lambda: dpprof.label("compute", action="F0.1&B0.0"),
    ],
)
def test_a_slot_that_is_none_is_an_error_where_it_is_written(wrong):
    with pytest.raises(DpprofError, match=r"F0\.3"):
        wrong()


def test_tensors_that_were_there_before_are_counted(tmp_path):
    gc.collect()
    others = held_on_host()  # what other tests of this process still hold
    model = torch.nn.Linear(512, 512)
    other = torch.zeros(1 << 18)
    view = other[:100]
    with dpprof.capture(tmp_path / "run", warmup=1, steps=1) as capture:
        _train(capture, 2)
    trace, _ = _events(tmp_path / "run")
    own = 4 * (512 * 512 + 512)
    assert trace["dpprof"]["place"]["parameter_bytes"] - others.parameter_bytes == own
    assert trace["dpprof"]["allocated_before_bytes"] - others.bytes == own + (1 << 20)
    del model, view
