"""Labels: named spans in the profiler's trace, from any thread.

On the thread that the profiler was started on, a label is an ordinary profiler range. Other
Python threads are invisible to torch.profiler unless `profile_all_threads` is set, which in turn
loses every memory event (torch 2.13); so their labels are timed here and merged into the trace
when it is written (`dpprof.instrument.merge`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from dpprof.tables.labels import SLOT_LABEL, Label


@dataclass
class LabelRecorder:
    """What one capture has seen so far: spans of side threads, clock readings of the main one.

    Has state because labels arrive from several threads while the profiler runs; appending to a
    list is atomic. `spans` holds (thread name, native thread id, label, start, end); `readings`
    holds (label, time before, time after) around the start of each range of the profiled thread:
    the profiler's own time stamp lies between, which ties the two clocks to within a microsecond
    or two. All times are Unix time in nanoseconds.
    """

    profiled_thread: int
    range_of: Callable[[str], AbstractContextManager[object]]
    spans: list[tuple[str, int, str, int, int]] = field(default_factory=list)
    readings: list[tuple[str, int, int]] = field(default_factory=list)


_active: list[LabelRecorder] = []


def start_recording(recorder: LabelRecorder) -> None:
    """Make `recorder` the one that labels report to."""
    _active.append(recorder)


def stop_recording(recorder: LabelRecorder) -> None:
    """Stop reporting labels to `recorder`."""
    if recorder in _active:
        _active.remove(recorder)


@contextmanager
def span(text: str) -> Iterator[None]:
    """A named span of the current thread; costs next to nothing where nothing is captured."""
    if not _active:
        yield
        return
    recorder = _active[-1]
    if threading.get_ident() == recorder.profiled_thread:
        before = time.time_ns()
        with recorder.range_of(text):
            recorder.readings.append((text, before, time.time_ns()))
            yield
        return
    start_ns = time.time_ns()
    try:
        yield
    finally:
        thread = threading.current_thread()
        recorder.spans.append((thread.name, thread.native_id or 0, text, start_ns, time.time_ns()))


def label(kind: str, **fields: str | int) -> AbstractContextManager[None]:
    """Label what the block does: ``with label("dispatch", action="F0.3", layer=2): ...``.

    `kind` is one of `dpprof.tables.kinds.KINDS`; `fields` are those of
    `dpprof.tables.labels.Label`. On a GPU the work launched in the block gets the fields; on a
    CPU the block itself is the activity.
    """
    return span(str(Label(kind=kind, **fields)))  # type: ignore[arg-type]


def slot_label(slot: str) -> AbstractContextManager[None]:
    """Label the block as one schedule slot: ``with slot_label("F0.3&B1.2"): ...``."""
    return span(str(Label(kind=SLOT_LABEL, slot=slot)))
