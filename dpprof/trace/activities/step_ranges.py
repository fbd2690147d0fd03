"""Steps that the user names by a pattern, or that nothing but the profiler's own calls mark.

``--step-range 'iteration*'`` makes ranges on the host the marks of steps, whatever they are
called; without marks, the windows between ``cudaProfilerStart`` and ``cudaProfilerStop`` are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from dpprof.errors import DpprofError
from dpprof.trace.activities.annotations import Family, read_annotation
from dpprof.trace.activities.find import host_rows
from dpprof.trace.activities.marks import MARK, mark_numbers
from dpprof.trace.activities.nesting import is_outermost
from dpprof.trace.activities.repeated_ranges import if_a_range_is_a_step
from dpprof.trace.read.columns import Category, Nanoseconds, Rows, TraceColumns

_NUMBER = re.compile(r"(\d{1,9})(?!.*\d)", re.DOTALL)
_LONGEST_NAME = 500
_NAME = "ProfilerStep#{}"
_NO_STEPS = "nothing marks steps"
_WINDOWS = (
    "no range marks steps: what is from a cudaProfilerStart to the next cudaProfilerStop counts as "
    "one ({} in all), whatever it holds"
)
_UNUSED = r"step \1, of which nobody knows the work"


def with_step_ranges(trace: TraceColumns, pattern: str) -> TraceColumns:
    """The trace whose steps are the ranges with names like `pattern` (``*``, ``?``), and no others.

    A step has the last number in its name, if each has another; else they are numbered in order,
    thread by thread. Without such a range the trace has no steps. Raises `DpprofError` for an
    empty pattern.
    """
    if not pattern.strip():
        raise DpprofError("--step-range: is empty; give the name of a range, as 'iteration*'")
    wanted = np.array([fnmatchcase(one[:_LONGEST_NAME], pattern) for one in trace.names], bool)
    rows = host_rows(trace, wanted)
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    rows = rows[is_outermost(trace.thread[rows], trace.start_ns[rows], trace.end_ns[rows])]
    others = host_rows(trace, np.array([MARK.fullmatch(one) is not None for one in trace.names]))
    others = others[~np.isin(others, rows)]
    name = trace.name.copy()
    name[others] = len(trace.names)
    unasked = replace(trace, name=name, names=(*trace.names, "step mark that is not asked for"))
    return with_marks(unasked, rows, [str(number) for number in _numbers(trace, rows)])


def with_marks(trace: TraceColumns, rows: Rows, numbers: Sequence[str]) -> TraceColumns:
    """The trace whose `rows` are marks of the steps with these numbers."""
    known = sorted(set(numbers))
    codes = {number: len(trace.names) + place for place, number in enumerate(known)}
    name, category = trace.name.copy(), trace.category.copy()
    name[rows] = [codes[number] for number in numbers]
    category[rows] = Category.ANNOTATION
    names = (*trace.names, *(_NAME.format(number) for number in known))
    return replace(trace, name=name, names=names, category=category)


def _numbers(trace: TraceColumns, rows: Rows) -> list[int]:
    """The number of the step that each of `rows`, which are in order, marks."""
    texts = [trace.names[code] for code in trace.name[rows].tolist()]
    found = [_NUMBER.search(text[:_LONGEST_NAME]) for text in texts]
    threads = trace.thread[rows].tolist()
    written = [int(one[1]) for one in found if one is not None]
    named = {(thread, number) for thread, number in zip(threads, written, strict=False)}
    if len(written) == len(texts) == len(named):
        return written
    return number_in_order(threads)


def number_in_order(threads: Sequence[int]) -> list[int]:
    """0, 1, 2, ... for the ranges of each thread, whose threads are given in order."""
    seen: dict[int, int] = {}
    result = []
    for thread in threads:
        seen[thread] = seen.get(thread, -1) + 1
        result.append(seen[thread])
    return result


def with_found_steps(trace: TraceColumns) -> TraceColumns:
    """The trace with marks where it has none: the profiler's windows, else a schedule's rounds.

    Without launches nothing tells which step the device's work is of: then it has no marks at all.
    """
    if not len(trace.rows(Category.LAUNCH)):
        return replace(trace, names=tuple(MARK.sub(_UNUSED, one) for one in trace.names))
    if (mark_numbers(trace)[np.unique(trace.name)] >= 0).any():
        return trace
    windows = _profiler_windows(trace)
    if windows:
        return _marked(_with_word(trace, _WINDOWS, len(windows)), windows)
    rounds = _rounds(trace)
    return _marked(trace, rounds) if rounds else _with_word(trace, _NO_STEPS, 0)


def _with_word(trace: TraceColumns, word: str, steps: int) -> TraceColumns:
    """The trace with a word on what its steps are, and on ranges that may be steps instead."""
    asked = if_a_range_is_a_step(trace, steps)
    word = word.format(steps) + asked if steps or asked else ""
    return replace(trace, damage=(*trace.damage, word)) if word else trace


Spans = list[tuple[int, int, int]]


def _profiler_windows(trace: TraceColumns) -> Spans:
    """Thread, start and end between the calls that start and stop the profiler."""
    rows = trace.rows(Category.LAUNCH)
    named = {
        word: np.array([one.startswith(word) for one in trace.names], dtype=bool)
        for word in ("cudaProfilerStart", "cudaProfilerStop", "cuProfilerStart", "cuProfilerStop")
    }
    starts = rows[(named["cudaProfilerStart"] | named["cuProfilerStart"])[trace.name[rows]]]
    stops = rows[(named["cudaProfilerStop"] | named["cuProfilerStop"])[trace.name[rows]]]
    spans: Spans = []
    ends: Nanoseconds = np.sort(trace.end_ns[stops])
    for row in starts.tolist():
        after = np.searchsorted(ends, trace.start_ns[row])
        begins_inside = spans and trace.start_ns[row] < spans[-1][2]
        if after < len(ends) and not begins_inside:
            spans.append((int(trace.thread[row]), int(trace.start_ns[row]), int(ends[after])))
    return spans


def _rounds(trace: TraceColumns) -> Spans:
    """A step for each round of the schedule: it begins where a slot comes round again."""
    said = [read_annotation(one) for one in trace.names]
    slots = [
        one.slot if one is not None and one.family in (Family.SLOT, Family.PIPELINING) else ""
        for one in said
    ]
    rows = host_rows(trace, np.array([bool(one) for one in slots], dtype=bool))
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    if not len(rows):
        return []
    thread = int(np.bincount(trace.thread[rows]).argmax())
    rows = rows[trace.thread[rows] == thread]
    firsts = _first_of_rounds([trace.names[code] for code in trace.name[rows].tolist()])
    if len(firsts) < 2:
        return []
    starts = trace.start_ns[rows[firsts]].tolist()
    last = int(trace.end_ns[rows].max())
    return [(thread, begin, end) for begin, end in zip(starts, [*starts[1:], last], strict=True)]


def _first_of_rounds(names: Sequence[str]) -> list[int]:
    firsts, seen = [0], set[str]()
    for place, name in enumerate(names):
        if name in seen:
            firsts.append(place)
            seen = set()
        seen.add(name)
    return firsts


def _marked(trace: TraceColumns, spans: Spans) -> TraceColumns:
    """The trace with a mark for each span; all other columns of these rows say nothing."""
    thread, start, end = (np.array(one, dtype=np.int64) for one in zip(*spans, strict=True))
    count = len(spans)
    none = np.full(count, -1, dtype=np.int64)
    more = {
        "category": np.full(count, int(Category.ANNOTATION)),
        "name": len(trace.names) + np.arange(count),
        "thread": thread,
        "start_ns": start,
        "end_ns": end,
    }
    columns = ("correlation", "stream", "device", "bytes", "collective", *more)
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(trace, name), more.get(name, none)]).astype(
            getattr(trace, name).dtype
        )
        for name in columns
    }
    order = np.lexsort((joined["category"], joined["start_ns"]))
    names = (*trace.names, *(_NAME.format(number) for number in range(count)))
    ordered = {key: one[order] for key, one in joined.items()}
    return replace(trace, names=names, **ordered)
