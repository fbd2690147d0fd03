"""Labels: named spans in the profiler's trace, from any thread.

On the thread that the profiler was started on, a label is an ordinary profiler range. Other
Python threads are invisible to torch.profiler unless `profile_all_threads` is set, which in turn
loses every memory event (torch 2.13); so their labels are timed here and merged into the trace
when it is written (`dpprof.instrument.side_labels`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from threading import Thread, current_thread, get_ident, local
from time import time_ns

from dpprof.errors import DpprofError
from dpprof.schedules.actions import parse_action, parse_slot
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS
from dpprof.tables.labels import SLOT_LABEL, Label, parse_label

MESSAGE = COMMUNICATION_KINDS[0]
_LABEL_KINDS = (SLOT_LABEL, *KINDS)


@dataclass
class LabelRecorder:
    """What one capture has seen so far: spans of side threads, clock readings of the main one.

    Has state because labels arrive from several threads while the profiler runs; appending to a
    list is atomic. `spans` holds (thread, label, start, end); `readings`
    holds (label, time before, time after) around the start of each range of the profiled thread:
    the profiler's own time stamp lies between, which ties the two clocks to within a microsecond
    or two. All times are Unix time in nanoseconds.
    """

    profiled_thread: int
    range_of: Callable[[str], AbstractContextManager[object]]
    spans: list[tuple[Thread, str, int, int]] = field(default_factory=list)
    readings: list[tuple[str, int, int]] = field(default_factory=list)


_active: list[LabelRecorder] = []


def start_recording(recorder: LabelRecorder) -> None:
    """Make `recorder` the one that labels report to."""
    _active.append(recorder)


def stop_recording(recorder: LabelRecorder) -> None:
    """Stop reporting labels to `recorder`."""
    if recorder in _active:
        _active.remove(recorder)


def is_recording() -> bool:
    """Whether labels are recorded at present."""
    return bool(_active)


class span:
    """A named span of the current thread; costs next to nothing where nothing is captured.

    A class rather than a generator, and as little as can be in it: labels stand in the way of
    what they measure.
    """

    __slots__ = ("_range", "_recorder", "_start_ns", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._recorder: LabelRecorder | None = None
        self._range: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        if not _active:
            return
        recorder = self._recorder = _active[-1]
        if get_ident() == recorder.profiled_thread:
            self._range = recorder.range_of(self._text)
            before_ns = time_ns()
            self._range.__enter__()
            recorder.readings.append((self._text, before_ns, time_ns()))
        else:
            self._start_ns = time_ns()

    def __exit__(self, *error: object) -> None:
        if self._range is not None:
            self._range.__exit__(None, None, None)
        elif self._recorder is not None:
            end_ns = time_ns()
            self._recorder.spans.append((current_thread(), self._text, self._start_ns, end_ns))


class _OpenLabels(local):
    """How many labels of each kind are open on a thread; has state as they open and close."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()


_open = _OpenLabels()


def is_inside(kind: str) -> bool:
    """Whether this thread is in a label of `kind`, or of a slot (`SLOT_LABEL`)."""
    return _open.count[kind] > 0


class counted_span(span):
    """A span that `is_inside` knows of."""

    __slots__ = ("_kind",)

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self._kind = kind

    def __enter__(self) -> None:
        _open.count[self._kind] += 1
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        _open.count[self._kind] -= 1


def label(kind: str, **fields: str | int) -> AbstractContextManager[None]:
    """Label what the block does: ``with label("dispatch", action="F0.3", layer=2): ...``.

    `kind` is one of `dpprof.tables.kinds.KINDS`; `fields` are those of
    `dpprof.tables.labels.Label`. On a GPU the work launched in the block gets the fields; on a
    CPU the block itself is the activity. Raises `DpprofError` for an unknown kind or field, and for
    a slot or action that is none.
    """
    text = _label_text(kind, tuple(fields.items()))
    return counted_span(kind, text) if kind == MESSAGE else span(text)


def slot_label(slot: str) -> AbstractContextManager[None]:
    """Label the block as one schedule slot: ``with slot_label("F0.3&B1.2"): ...``.

    Raises `DpprofError` for a text that is no slot.
    """
    return counted_span(SLOT_LABEL, _label_text(SLOT_LABEL, (("slot", slot),)))


@lru_cache(maxsize=2**14)
def _label_text(kind: str, fields: tuple[tuple[str, str | int], ...]) -> str:
    """The text of a label, checked; kept, because every training step has the same ones."""
    if kind not in _LABEL_KINDS:
        nearest = get_close_matches(kind, _LABEL_KINDS, n=1)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise DpprofError(f"label({kind!r}): no such kind{meant} Known: {', '.join(_LABEL_KINDS)}")
    try:
        text = str(Label(kind=kind, **dict(fields)))  # type: ignore[arg-type]
    except TypeError as error:
        raise DpprofError(
            f"label({kind!r}): {error}; the fields are those of dpprof.tables.labels.Label"
        ) from error
    if parse_label(text) is None:
        raise DpprofError(f"{text!r} would not be read back; values may hold no blanks")
    _check_schedule_words(kind, dict(fields))
    return text


def _check_schedule_words(kind: str, fields: dict[str, str | int]) -> None:
    """Raise `DpprofError` for a slot or action that no reader would know."""
    try:
        if slot := fields.get("slot"):
            parse_slot(str(slot))
        if action := fields.get("action"):
            parse_action(str(action))
    except DpprofError as error:
        raise DpprofError(f"label({kind!r}): {error}") from error
    if kind == SLOT_LABEL and not fields.get("slot"):
        raise DpprofError("slot_label(''): a slot has a name, such as F0.3 or F0.3&B1.2")
