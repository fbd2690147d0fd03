"""What is written beside the training is whole, whatever becomes of the child that writes it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path

import pytest

from dpprof.instrument import beside
from dpprof.instrument.beside import begin_beside
from dpprof.instrument.labels import LabelRecorder
from dpprof.instrument.trace_writer import TraceWriter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")

EVENTS = [{"ph": "X", "ts": number} for number in range(99_999)]
EXPORT = json.dumps({"traceEvents": EVENTS})


def write(tmp_path, save, *, fork=True):
    """The text of a trace, of one gzip member that ends where the file does."""
    target = tmp_path / "rank0.json.gz"
    (tmp_path / "work").mkdir()
    writer = TraceWriter(tmp_path / "work" / "export.json", target, LabelRecorder(1, str))
    writer.start(save, fork=fork)
    writer.finish({"rank": 0})
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = inflate.decompress(target.read_bytes())
    assert inflate.eof
    assert not inflate.unused_data
    assert [one.name for one in tmp_path.iterdir() if one != tmp_path / "work"] == [target.name]
    return text.decode()


def saving(act=None):
    """Writes the export, after `act` where this is the child."""
    own = os.getpid()

    def save(path):
        if os.getpid() != own and act is not None:
            act()
        Path(path).write_text(EXPORT)

    return save


@pytest.mark.parametrize("fork", [True, False])
def test_a_trace_of_two_processes_is_one_file(tmp_path, fork):
    text = write(tmp_path, saving(), fork=fork)
    assert text == EXPORT[:-1] + ',\n"dpprof": {"rank":0}}\n'


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def stay():
    time.sleep(60)


def fail():
    raise KeyError("what nobody has thought of")


@pytest.mark.parametrize("end", [die, stay, fail])
def test_what_a_child_does_not_finish_is_written_here(tmp_path, end, monkeypatch):
    monkeypatch.setattr(beside, "_LOOK_S", 0.05)
    assert write(tmp_path, saving(act=end)).startswith(EXPORT[:-1])


def test_signals_to_all_processes_of_the_job_leave_the_child_alone(tmp_path):
    def interrupt():
        for one in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), one)

    answers = begin_beside(lambda: interrupt() or b"done", lambda: 0, fork=True)
    assert answers.answer() == b"done"


def test_a_job_that_waits_for_any_child_takes_no_answer_away():
    begun = begin_beside(lambda: b"%d" % os.getpid(), lambda: 0, fork=True)
    child, status = os.wait()
    assert (status, int(begun.answer())) == (0, child)
    assert child != os.getpid()


def test_a_process_that_fills_the_memory_does_not_fork(monkeypatch):
    monkeypatch.setattr(beside, "free_bytes", lambda: 1 << 20)
    assert (
        int(begin_beside(lambda: b"%d" % os.getpid(), lambda: 0, fork=True).answer()) == os.getpid()
    )
