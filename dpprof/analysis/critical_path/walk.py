"""The critical path of a step: the chain of work, launches and messages that its end waited for.

From the last activity of the step the path goes back in time, always to what let the activity
start: where it waited for a peer, the last participant's side; else the activity before it, on
its own lane if that was busy until then, or the last of its rank to end. What lies between the
two is the host's time where the launch came after that end. The pieces cover the step window
exactly, so that shortening anything off the path leaves the step as long as it is.

Traces do not say which stream waited for which, so the last activity to end stands for what a
rank's work waited for. In a simulated step, where nothing starts without a reason, the path is a
longest path through the schedule's dependencies. Sorting dominates the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.critical_path.message_links import find_links
from dpprof.analysis.critical_path.path_events import PathRows
from dpprof.analysis.critical_path.predecessors import NONE
from dpprof.analysis.critical_path.visits import HeldRows, Visit, visits
from dpprof.analysis.observations import PathFigures
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows, step_windows
from dpprof.tables.columns import (
    END,
    KIND,
    LANE,
    NAME,
    PATH,
    RANK,
    SLOT,
    START,
    STEP,
    WHY,
    make_table,
)

HOST = "host"
IDLE = "idle"

_WORK, _LATE, _UNKNOWN = range(3)
_LAST, _PEER, _OWN, _TAIL = 0, 3, 4, 5
_WHY = (
    "the last of the step to end",
    "launched late",
    "nothing in the trace says what the rank waited for",
    "a peer waited for it",
    "the next work of the rank waited for it",
    "the host ended the step later",
)
"""Why a piece is on the path; gaps are at the positions of `_LATE` and `_UNKNOWN`."""

Numbers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


class _Lines(NamedTuple):
    """The rows that the path goes through, back in time: of each visit first the communication by
    which it came (`NONE` where there is none), then those that lie on the path."""

    visit: Numbers
    begin: Numbers
    ends: Numbers
    launches: Numbers
    kind: Texts
    lane: Texts
    slot: Texts
    name: Texts


class _Pieces(NamedTuple):
    """Pieces of a path, one entry each: what `line` says itself (`_WORK`), or the gap before it.

    `line` is a position in `_Lines`, `why` one in `_WHY`.
    """

    step: Numbers
    rank: Numbers
    line: Numbers
    start: Numbers
    end: Numbers
    what: Numbers
    why: Numbers


def critical_path(run: Run) -> pd.DataFrame:
    """The pieces of the path of each used step, in order of time (columns `PATH`).

    Their lengths add up to the step windows exactly. `kind` is that of the activity, or ``host``
    (the device was free, the launch came late) or ``idle`` (nothing explains the gap).
    """
    lines, pieces, kinds = _walked(run)
    return make_table(
        PATH,
        {
            STEP: pieces.step,
            RANK: pieces.rank,
            LANE: np.where(pieces.what == _WORK, lines.lane[pieces.line], ""),
            START: pieces.start,
            END: pieces.end,
            KIND: kinds,
            SLOT: lines.slot[pieces.line],
            NAME: lines.name[pieces.line],
            WHY: np.array(_WHY, object)[pieces.why],
        },
    )


def path_figures(run: Run) -> PathFigures:
    """How long the critical path runs through each kind and on each rank, over the used steps."""
    _, pieces, kinds = _walked(run)
    lengths = pieces.end - pieces.start
    crossings = (np.diff(pieces.rank) != 0) & (np.diff(pieces.step) == 0)
    return PathFigures(
        by_kind_ns=_sums(kinds, lengths),
        by_rank_ns=_sums(pieces.rank, lengths),
        messages=int(crossings.sum()),
    )


def _walked(run: Run) -> tuple[_Lines, _Pieces, Texts]:
    """What the path goes through, its pieces in order of time, and the kind of each."""
    held = HeldRows(run, find_links(run.held.communications), step_windows(run))
    path = [one for step in held.windows for one in visits(held, step, _last_rank(run, step))]
    lines = _read_lines(held, path)
    pieces = _pieces(held.windows, path, lines)
    kinds = lines.kind[pieces.line]
    kinds = np.where(pieces.what == _WORK, kinds, np.where(pieces.what == _LATE, HOST, IDLE))
    return lines, pieces, kinds


def _sums(keys: npt.NDArray[Any], lengths: Numbers) -> dict[Any, int]:
    codes, values = pd.factorize(keys)
    sums = np.zeros(len(values), dtype=np.int64)
    np.add.at(sums, codes, lengths)
    found = dict(zip(values.tolist(), sums.tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _last_rank(run: Run, step: int) -> int:
    """The rank whose work of the step ends last; the first one where the step has none."""
    spans = run.held.spans
    own = spans[(spans[STEP] == step) & spans[RANK].isin(list(run.pp_rank))]
    if own.empty:
        return min(run.pp_rank)
    return int(own[RANK].iloc[int(own[END].argmax())])


def _read_lines(held: HeldRows, path: Sequence[Visit]) -> _Lines:
    """The lines of all visits in their order; each rank is read once, those in memory first."""
    of_rank: dict[int, list[int]] = {}
    for number, visit in enumerate(path):
        of_rank.setdefault(visit.rank, []).append(number)
    ranks = sorted(of_rank, key=lambda rank: rank not in held.held)
    found = [_lines_of(held.rows(rank), of_rank[rank], path) for rank in ranks]
    columns = [np.concatenate(column) for column in zip(*(found or [_NO_LINES]), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return _Lines(*(column[order] for column in columns))


def _lines_of(rows: PathRows, numbers: Sequence[int], path: Sequence[Visit]) -> _Lines:
    """The lines of those visits of the path that have these numbers, all of one rank."""
    lines = []
    for number in numbers:
        visit = path[number]
        after = rows.of_number(visit.came)
        entry = visit.entry if after == NONE else int(rows.previous[after])
        lines.append([after, *rows.line(entry, visit.stop)])
    row = np.array(list(chain.from_iterable(lines)), dtype=np.int64)
    times = [np.append(one, NONE)[row] for one in (rows.begin, rows.ends, rows.launches)]
    texts = [rows.text(one, row) for one in (KIND, LANE, SLOT, NAME)]
    lengths = [len(line) for line in lines]
    return _Lines(np.repeat(np.array(numbers, dtype=np.int64), lengths), *times, *texts)


def _pieces(windows: Windows, path: Sequence[Visit], lines: _Lines) -> _Pieces:
    """The pieces of all steps, in order of time; none without a length."""
    steps = np.array([visit.step for visit in path], dtype=np.int64)[lines.visit]
    ranks = np.array([visit.rank for visit in path], dtype=np.int64)[lines.visit]
    found = [_NO_PIECES]
    for step, window in windows.items():
        line, *spans = _of_step(lines, np.flatnonzero(steps == step), window)
        found.append(_Pieces(steps[line], ranks[line], line, *spans))
    pieces = _Pieces(*(np.concatenate(column) for column in zip(*found, strict=True)))
    kept = pieces.end > pieces.start
    return _Pieces(*(column[kept] for column in pieces))


def _of_step(lines: _Lines, own: Numbers, window: tuple[int, int]) -> list[Numbers]:
    """Each row of a path, after it the gap to what it let start, and first what lay before all.

    These are line, start, end, what and why of pieces, in order of time.
    """
    came = np.diff(lines.visit[own], prepend=-1) != 0
    rows = np.flatnonzero(~came)
    first = came[rows - 1]
    last_of_all = rows == 1
    # An activity counts until what it let start began, even where it ended a little later.
    reach = np.minimum.accumulate(np.append(window[1], lines.begin[own[rows]]))
    until, begins = reach[:-1], reach[1:]
    ends = np.minimum(lines.ends[own[rows]], until)
    gaps = np.where(lines.launches[own[rows - 1]] > ends, _LATE, _UNKNOWN)
    gaps = np.where(last_of_all, _LATE, gaps)
    why = np.where(last_of_all, _LAST, np.where(first, _PEER, _OWN))
    before = _LATE if lines.launches[own[-1]] > window[0] else _UNKNOWN
    columns = (
        (own[rows - 1], own[rows], own[-1]),
        (ends, begins, window[0]),
        (until, ends, reach[-1]),
        (gaps, np.full(len(rows), _WORK), before),
        (np.where(last_of_all, _TAIL, gaps), why, before),
    )
    return [_in_turn(*column) for column in columns]


def _in_turn(gap: Numbers, work: Numbers, before: int) -> Numbers:
    """Gaps and work back in time, and what lay before: in order of time."""
    return np.append(np.stack((gap, work), axis=1).reshape(-1), before)[::-1]


_NO_LINES = _Lines(*(np.zeros(0, dtype=np.int64),) * 4, *(np.zeros(0, dtype=object),) * 4)
_NO_PIECES = _Pieces(*(np.zeros(0, dtype=np.int64) for _ in _Pieces._fields))
