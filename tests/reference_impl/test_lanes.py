"""Lanes run work in order, beside the caller, and hand errors to whoever waits."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext

import pytest

torch = pytest.importorskip("torch", reason="the reference implementation needs torch")

from dpprof.reference.runtime.lanes import COMPUTE, Done, make_lane  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def lane():
    lane = make_lane(CPU, "communication")
    yield lane
    lane.close()


def test_side_lane_runs_in_order_on_its_own_thread(lane):
    seen = []
    gate = threading.Event()
    first = lane.submit(nullcontext, lambda: (gate.wait(), seen.append("first")))
    second = lane.submit(nullcontext, lambda: seen.append(threading.current_thread().name))
    assert seen == []
    gate.set()
    first.wait()
    second.wait()
    assert seen == ["first", "communication"]


def test_work_waits_for_what_it_comes_after(lane):
    other = make_lane(CPU, "other")
    gate = threading.Event()
    before = other.submit(nullcontext, gate.wait)
    after = lane.submit(nullcontext, lambda: gate.is_set(), [before])
    gate.set()
    assert after.wait() is True
    other.close()


def test_an_error_reaches_whoever_waits_and_the_lane_goes_on(lane):
    failed = lane.submit(nullcontext, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failed.wait()
    assert lane.submit(nullcontext, lambda: 5).wait() == 5


def test_compute_lane_of_a_cpu_is_the_caller():
    lane = make_lane(CPU, COMPUTE)
    done = lane.submit(nullcontext, threading.get_ident, [Done()])
    assert done.wait() == threading.get_ident()


class FakeStream:
    """Notes what a CUDA stream would be told."""

    def __init__(self, device=None, priority=0):
        self.priority = priority
        self.device = torch.device("cuda", 0)
        self.waited = []

    def record_event(self):
        return ("event of", self)

    def wait_event(self, event):
        self.waited.append(event)


@pytest.fixture
def current(monkeypatch):
    """torch.cuda with one stream current at a time; no GPU."""
    stack = [FakeStream()]

    @contextmanager
    def on(stream):
        stack.append(stream)
        yield
        stack.pop()

    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stack[-1])
    return stack[0]


def test_streams_wait_for_events_and_the_host_for_nothing(current):
    gpu = torch.device("cuda", 0)
    compute, side = make_lane(gpu, COMPUTE), make_lane(gpu, "communication")
    made = compute.submit(nullcontext, lambda: "rows")
    sent = side.submit(nullcontext, torch.cuda.current_stream, [made])
    other = sent.wait()
    assert other is not current
    assert (other.priority, current.priority) == (-1, 0)
    assert other.waited == [("event of", current)]
    assert current.waited == [("event of", other)]


def test_work_of_the_own_stream_needs_no_event(current):
    compute = make_lane(torch.device("cuda", 0), COMPUTE)
    done = compute.submit(nullcontext, lambda: 5)
    assert compute.submit(nullcontext, lambda: 6, [done]).wait() == 6
    assert current.waited == []
