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

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.critical_path.message_links import Links, find_links
from dpprof.analysis.critical_path.path_events import LATE_NS, Chain, PathRows, make_path_rows
from dpprof.analysis.critical_path.predecessors import NONE
from dpprof.analysis.model import PathFigures
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows, step_windows
from dpprof.tables.columns import (
    END,
    KIND,
    LANE,
    LAUNCH,
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

_MOST_HELD = 24_000_000
"""Events whose links are kept in memory; of a bigger run, ranks are read again when needed."""

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


class _Pieces(NamedTuple):
    """Pieces of a path, one entry each: the `row` of `rank` itself (`_WORK`), or the gap before it.

    `why` is a position in `_WHY`.
    """

    step: Numbers
    rank: Numbers
    row: Numbers
    start: Numbers
    end: Numbers
    what: Numbers
    why: Numbers


def critical_path(run: Run) -> pd.DataFrame:
    """The pieces of the path of each used step, in order of time (columns `PATH`).

    Their lengths add up to the step windows exactly. `kind` is that of the activity, or ``host``
    (the device was free, the launch came late) or ``idle`` (nothing explains the gap).
    """
    walker, pieces, kinds = _walked(run)
    lanes = np.where(pieces.what == _WORK, _texts(pieces, walker, LANE), "")
    return make_table(
        PATH,
        {
            STEP: pieces.step,
            RANK: pieces.rank,
            LANE: lanes,
            START: pieces.start,
            END: pieces.end,
            KIND: kinds,
            SLOT: _texts(pieces, walker, SLOT),
            NAME: _texts(pieces, walker, NAME),
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


def _walked(run: Run) -> tuple[_Walker, _Pieces, npt.NDArray[Any]]:
    """The walker, what it found, and the kind of each piece."""
    walker = _Walker(run, find_links(run.held.communications), step_windows(run))
    pieces = _all_pieces(run, walker)
    kinds = _texts(pieces, walker, KIND)
    kinds = np.where(pieces.what == _WORK, kinds, np.where(pieces.what == _LATE, HOST, IDLE))
    return walker, pieces, kinds


def _sums(keys: npt.NDArray[Any], lengths: Numbers) -> dict[Any, int]:
    codes, values = pd.factorize(keys)
    sums = np.zeros(len(values), dtype=np.int64)
    np.add.at(sums, codes, lengths)
    found = dict(zip(values.tolist(), sums.tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _all_pieces(run: Run, walker: _Walker) -> _Pieces:
    chains: list[_Pieces] = []
    for step, window in walker.windows.items():
        chains += reversed(list(walker.walk(step, _last_rank(run, step), window)))
    columns = zip(*(chains or [_NO_PIECES]), strict=True)
    pieces = _Pieces(*(np.concatenate([one[::-1] for one in column]) for column in columns))
    kept = pieces.end > pieces.start
    return _Pieces(*(column[kept] for column in pieces))


def _last_rank(run: Run, step: int) -> int:
    """The rank whose work of the step ends last; the first one where the step has none."""
    spans = run.held.spans
    own = spans[(spans[STEP] == step) & spans[RANK].isin(list(run.pp_rank))]
    if own.empty:
        return min(run.pp_rank)
    return int(own[RANK].iloc[int(own[END].argmax())])


def _texts(pieces: _Pieces, walker: _Walker, name: str) -> npt.NDArray[np.object_]:
    """What the rows of pieces say in a text column; empty where there is no row."""
    texts = np.full(len(pieces.row), "", dtype=object)
    for rank in np.unique(pieces.rank).tolist():
        own = np.flatnonzero((pieces.rank == rank) & (pieces.row != NONE))
        texts[own] = walker.rows(rank).text(name, pieces.row[own])
    return texts


@dataclass
class _Walker:
    """Walks back through a run; has state because ranks are read when the path first comes by."""

    run: Run
    links: Links
    windows: Windows
    held: dict[int, PathRows] = field(default_factory=dict)

    def rows(self, rank: int) -> PathRows:
        """The events of a rank; the rank longest unused gives way where memory runs short."""
        if rank in self.held:
            self.held[rank] = self.held.pop(rank)
        else:
            events = self.run.held.of_rank(rank)
            on_device = bool((events[LAUNCH] >= 0).any())
            late_ns = 0 if on_device else LATE_NS[self.run.source]
            known = rank in self.run.knows_waits
            waits = self.run.waits[self.run.waits[RANK] == rank] if known else None
            rows = make_path_rows(events, self.windows, self.links.leads(rank), late_ns, waits)
            while self.held and sum(map(len, self.held.values())) + len(rows) > _MOST_HELD:
                self.held.pop(next(iter(self.held)))
            self.held[rank] = rows
        return self.held[rank]

    def walk(self, step: int, rank: int, window: tuple[int, int]) -> Iterator[_Pieces]:
        """Chains of pieces on one rank each, from the end of the window back to its start."""
        start, time = window
        rows, why, after = self.rows(rank), _LAST, NONE
        row = rows.last(step, time)
        seen: dict[int, set[int]] = {}
        while row != NONE:
            chain = rows.chain(row, seen.setdefault(rank, set()))
            link = self.links.of(rank, int(rows.number[chain.rows[-1]])) if chain.stops else None
            pieces = _pieces(rows, chain, (step, rank, after, time, why))
            yield pieces
            time, after = int(pieces.start[-1]), chain.rows[-1]
            if link is None:
                break
            seen[rank].add(after)
            rank, why = link.rank, _PEER
            rows = self.rows(rank)
            after = rows.of_number(link.number)
            row = int(rows.previous[after]) if after != NONE else rows.last(step, time)
        if time > start:
            yield _gap(rows, (step, rank, after), (start, time))


def _pieces(rows: PathRows, chain: Chain, at: tuple[int, int, int, int, int]) -> _Pieces:
    """Each row of a chain, and before it (later in time) the gap to what it let start."""
    step, rank, after, time, why = at
    own = np.array(chain.rows, dtype=np.int64)
    # An activity counts until what it let start began, even where it ended a little later.
    reach = np.minimum.accumulate(np.append(time, rows.begin[own]))
    until, ends = reach[:-1], np.minimum(rows.ends[own], reach[:-1])
    begins, later = np.minimum(reach[1:], ends), np.append(after, own[:-1])
    launched = np.where(later == NONE, NONE, rows.launches[later])
    gaps = np.where(launched > ends, _LATE, _UNKNOWN)
    gaps[0] = _LATE if why == _LAST else gaps[0]
    gap_reasons, reasons = gaps.copy(), np.full(len(own), _OWN)
    gap_reasons[0] = _TAIL if why == _LAST else gaps[0]
    reasons[0] = why
    return _Pieces(
        np.full(2 * len(own), step),
        np.full(2 * len(own), rank),
        _in_turn(later, own),
        _in_turn(ends, begins),
        _in_turn(until, ends),
        _in_turn(gaps, np.full(len(own), _WORK)),
        _in_turn(gap_reasons, reasons),
    )


def _in_turn(one: Numbers, other: Numbers) -> Numbers:
    return np.stack((one, other), axis=1).reshape(-1)


def _gap(rows: PathRows, at: tuple[int, int, int], span: tuple[int, int]) -> _Pieces:
    """The time before the first piece of the path, in which its rank had done nothing yet."""
    row = at[2]
    what = _LATE if row != NONE and rows.launches[row] > span[0] else _UNKNOWN
    return _Pieces(*(np.array([value], dtype=np.int64) for value in (*at, *span, what, what)))


_NO_PIECES = _Pieces(*(np.zeros(0, dtype=np.int64) for _ in _Pieces._fields))
