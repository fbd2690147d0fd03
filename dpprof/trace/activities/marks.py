"""The ranges on the host that mark steps, and what is odd about them."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from dpprof.trace.activities.nesting import is_outermost
from dpprof.trace.read.columns import Category, Codes, Mask, Nanoseconds, Rows, TraceColumns

MARK = re.compile(r"Profiler?Step#(\d{1,9})(?:\[[^\]]*\])?")  # Paddle: ProfileStep#1[9.1 ms]
"""What torch.profiler calls the range of a step."""
NO_STEP = -1


class HostMarks(NamedTuple):
    """Marks as they are kept, by start: one per step and thread; and what is odd, in words."""

    step: Codes
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    thread: Codes
    doubts: tuple[str, ...]

    def where(self, kept: Mask, *doubts: str) -> HostMarks:
        """The marks that are kept, and more doubts."""
        return HostMarks(
            self.step[kept],
            self.start_ns[kept],
            self.end_ns[kept],
            self.thread[kept],
            (*self.doubts, *filter(None, doubts)),
        )


def mark_numbers(trace: TraceColumns) -> Codes:
    """By code of a name: the number of the step that it marks, `NO_STEP` for all others."""
    numbers = np.full(len(trace.names), NO_STEP, dtype=np.int32)
    for code, name in enumerate(trace.names):
        if match := MARK.fullmatch(name):
            numbers[code] = int(match[1])
    return numbers


def read_marks(trace: TraceColumns) -> HostMarks:
    """The marks that do not nest, repeat or contradict those of another thread."""
    numbers = mark_numbers(trace)
    rows = trace.rows(Category.ANNOTATION, Category.OPERATOR)
    rows = rows[numbers[trace.name[rows]] != NO_STEP]
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    found = HostMarks(
        numbers[trace.name[rows]],
        trace.start_ns[rows],
        trace.end_ns[rows],
        trace.thread[rows],
        (),
    )
    return _one_loop(_unrepeated(_outermost(_finished(found, trace))))


def _finished(found: HostMarks, trace: TraceColumns) -> HostMarks:
    """Marks without a length last until the next of their thread, or its last range."""
    broken = np.flatnonzero(found.end_ns <= found.start_ns)
    ends = found.end_ns.copy()
    for mark in broken.tolist():
        own = found.thread == found.thread[mark]
        later = found.start_ns[own & (found.start_ns > found.start_ns[mark])]
        ends[mark] = later[0] if len(later) else _last_end(trace, int(found.thread[mark]))
    ends = np.maximum(ends, found.start_ns)
    doubt = (
        f"the mark of step {_listed(found.step[broken])} has no end: it is taken to last until "
        "the next mark, or the last thing that its thread did"
    )
    return found._replace(end_ns=ends, doubts=(doubt,) if len(broken) else ())


def _last_end(trace: TraceColumns, thread: int) -> int:
    return int(trace.end_ns[trace.thread == thread].max())


def _outermost(found: HostMarks) -> HostMarks:
    outermost = is_outermost(found.thread, found.start_ns, found.end_ns)
    inner = np.flatnonzero(~outermost)
    twins = np.array([_is_written_twice(found, one) for one in inner.tolist()], dtype=bool)
    nested = inner[~twins] if len(inner) else inner
    doubt = (
        f"the marks of steps {_listed(found.step[nested])} are nested inside the marks of others: "
        "only the outer ones count as steps"
    )
    return found.where(outermost, doubt if len(nested) else "")


def _is_written_twice(found: HostMarks, one: int) -> bool:
    """Whether a mark lies in one of the same step: the same range as operator and annotation."""
    around = (found.start_ns <= found.start_ns[one]) & (found.end_ns >= found.end_ns[one])
    same = (found.step == found.step[one]) & (found.thread == found.thread[one])
    return int((around & same).sum()) > 1


def _unrepeated(found: HostMarks) -> HostMarks:
    """Of marks of one step on one thread the first."""
    pairs = np.stack([found.step, found.thread])
    _, first = np.unique(pairs, axis=1, return_index=True)
    kept = np.zeros(len(found.step), dtype=bool)
    kept[first] = True
    doubt = (
        f"steps {_listed(found.step[~kept])} are marked more than once: the first mark of each "
        "counts, and what ran in the others belongs to no step of its own"
    )
    return found.where(kept, "" if kept.all() else doubt)


def _one_loop(found: HostMarks) -> HostMarks:
    """Marks of other threads count where they mark the same steps, or other times."""
    threads = np.unique(found.thread)
    if len(threads) < 2:
        return found
    marked = {int(one): _length(found, found.thread == one) for one in threads}
    main = found.thread == max(marked, key=lambda one: marked[one])
    same = np.isin(found.step, found.step[main])
    beside = np.array([_crosses(found, main, one) for one in range(len(found.step))], dtype=bool)
    kept = main | same | ~beside
    doubts = []
    if (kept & ~main & same).any():
        doubts.append(
            f"steps are marked on {len(threads)} threads: a step lasts from its first mark to the "
            "end of its last, and work belongs to the step of the thread that launched it"
        )
    if not kept.all():
        doubts.append(
            f"steps {_listed(found.step[~kept])} are marked on another thread while the training "
            "loop marks others: only the marks of the thread with most of the time count"
        )
    return found.where(kept, *doubts)


def _length(found: HostMarks, chosen: Mask) -> int:
    return int((found.end_ns[chosen] - found.start_ns[chosen]).sum())


def _crosses(found: HostMarks, main: Mask, one: int) -> bool:
    starts, ends = found.start_ns[main], found.end_ns[main]
    return bool(((starts < found.end_ns[one]) & (ends > found.start_ns[one])).any())


def _listed(steps: Codes | Rows) -> str:
    numbers = sorted(set(steps.tolist()))
    shown = ", ".join(map(str, numbers[:8]))
    return shown + (", ..." if len(numbers) > 8 else "")
