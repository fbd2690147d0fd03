"""The windows of a run's steps: they tile the time that the marks take (metrics.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import without_jumping
from dpprof.runs.run import Run
from dpprof.tables.columns import END, RANK, START, STEP

Windows = Mapping[int, tuple[int, int]]
"""Step -> start and end of its window on the common clock."""


class _Limits(NamedTuple):
    """Of a step over all ranks: the host's mark, and the device work that it launched."""

    step: int
    marked: bool
    start_ns: int
    end_ns: int
    first_work_ns: int


def step_windows(run: Run) -> dict[int, tuple[int, int]]:
    """The windows of the used steps, in order of time.

    Steps that no rank marks have the window of what they launched; those without either have none.
    So have all steps of an emulated run, whose hosts are the emulator's.
    """
    used = set(run.used_steps)
    return {step: window for step, window in marked_windows(run).items() if step in used}


def marked_windows(run: Run) -> dict[int, tuple[int, int]]:
    """The same of every marked step, used or not."""
    windows: dict[int, tuple[int, int]] = {}
    before: _Limits | None = None
    reached = 0
    for one in sorted(_limits(run), key=lambda one: (one.start_ns, one.step)):
        if before is None:
            start = min(one.start_ns, one.first_work_ns)
        elif _follows(before, one):
            start = reached
        else:
            start = max(reached, one.start_ns)
        reached, before = max(start, one.end_ns), one
        windows[one.step] = (start, reached)
    return windows


def device_edges(run: Run) -> dict[int, tuple[int, int]]:
    """Step -> when the first of its device work started on any rank, and the last ended."""
    spans = _timed(run, run.held.spans)
    limits = spans.groupby(STEP).agg({START: "min", END: "max"})
    return {int(step): (int(low), int(high)) for step, low, high in limits.itertuples(name=None)}


def _follows(before: _Limits, one: _Limits) -> bool:
    """Whether marks follow each other: their numbers do, so nothing was skipped between them."""
    return before.marked and one.marked and one.step == before.step + 1


def _timed(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of ranks whose own clock does not jump, if there are any."""
    if not run.evidence:
        return table
    kept = without_jumping(table[RANK].unique().tolist(), run.evidence)
    return table[table[RANK].isin(kept)]


def _limits(run: Run) -> Iterator[_Limits]:
    work, used = device_edges(run), set(run.used_steps)
    steps = run.steps if run.source != "emulated" else run.steps.iloc[:0]
    marks = _timed(run, steps).groupby(STEP).agg({START: "min", END: "max"})
    marked = {int(step): (int(low), int(high)) for step, low, high in marks.itertuples(name=None)}
    for step in sorted(marked.keys() | (work.keys() & used)):
        ran = work.get(step)
        start, end = marked.get(step) or ran or (0, 0)
        first, last = ran or (start, end)
        yield _Limits(step, step in marked, start, max(start, end, last), first)


def runs_in(events: pd.DataFrame, window: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which of the events run in a window, be it in part."""
    (start, end), (starts, ends) = window, (events[START].to_numpy(), events[END].to_numpy())
    crosses, begins = (starts < end) & (ends > start), (starts >= start) & (starts < end)
    inside: npt.NDArray[np.bool_] = crosses | begins
    return inside


def outside_count(events: pd.DataFrame, windows: Windows) -> int:
    """How many of the events of a rank run in none of the windows, not even in part."""
    inside = np.zeros(len(events), dtype=bool)
    for window in windows.values():
        inside |= runs_in(events, window)
    return int((~inside).sum())
