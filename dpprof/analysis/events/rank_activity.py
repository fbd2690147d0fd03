"""What each rank did in each step, as interval sets: the raw material of every time metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.awaited import awaited_from
from dpprof.analysis.events.event_columns import COMMUNICATION_CODES, EventColumns, make_rows
from dpprof.analysis.events.pipeline_messages import texts
from dpprof.analysis.events.stragglers import cause_ranks
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows
from dpprof.tables.columns import KIND, RANK, START
from dpprof.tables.intervals import Intervals, first_come, make_intervals, subtract, union
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, FUSED, KINDS, MEMORY


@dataclass(frozen=True)
class Activity:
    """The activity of one rank in one step, with the step window ``[start_ns, end_ns)``.

    `rows` are what runs in the window, whoever launched it, cut at its edges; sorted by start.
    `knows_waits` says whether the trace records what waits for what.
    """

    rank: int
    step: int
    start_ns: int
    end_ns: int
    rows: EventColumns
    knows_waits: bool = False

    @property
    def window_ns(self) -> int:
        """Length of the step window."""
        return self.end_ns - self.start_ns

    @cached_property
    def compute(self) -> Intervals:
        """When the rank computes and runs no fused kernel (union over lanes)."""
        return self._beside_fused(KINDS.index(COMPUTE))

    @cached_property
    def fused(self) -> Intervals:
        """When the rank runs kernels that communicate and compute in one (union over lanes)."""
        return self._transfer_union(KINDS.index(FUSED))

    @cached_property
    def computing(self) -> Intervals:
        """When the rank computes in any kernel, fused ones too."""
        return union(self.compute, self.fused) if len(self.fused.starts) else self.compute

    @cached_property
    def communication(self) -> Intervals:
        """When the rank communicates or waits to (union over lanes and kinds)."""
        chosen = np.isin(self.rows.kinds, COMMUNICATION_CODES)
        return union(make_intervals(self.rows.starts[chosen], self.rows.ends[chosen]))

    @cached_property
    def memory(self) -> Intervals:
        """When the rank copies or sets memory (union over lanes)."""
        return self._transfer_union(KINDS.index(MEMORY))

    @cached_property
    def transfers(self) -> dict[str, Intervals]:
        """Communication kind -> when a transfer of that kind is under way; kinds present only.

        Without the time of fused kernels: what they hide of other transfers is not known.
        """
        return {KINDS[code]: self._beside_fused(code) for code in self._kinds_present}

    @cached_property
    def waits(self) -> dict[str, Intervals]:
        """Communication kind -> when an operation of that kind waits for its peers."""
        waits = {}
        for code in self._kinds_present:
            chosen = self.rows.kinds == code
            waits[KINDS[code]] = union(
                make_intervals(self.rows.starts[chosen], self.rows.transfers_ns[chosen])
            )
        return waits

    @cached_property
    def blocking(self) -> dict[str, Intervals]:
        """Communication kind -> when other work waits for a transfer of it that is under way."""
        found = {}
        for code in self._kinds_present:
            chosen = self.rows.kinds == code
            since = np.maximum(self.rows.transfers_ns, self.rows.awaited_ns)[chosen]
            ends = np.maximum(self.rows.ends[chosen], since)
            found[KINDS[code]] = union(make_intervals(since, ends))
        return found

    @cached_property
    def unsplit(self) -> dict[str, Intervals]:
        """Communication kind -> when an operation of it is under way that was not matched."""
        rows = self.rows
        found = {}
        for code in self._kinds_present:
            chosen = (rows.kinds == code) & rows.unsplit
            if chosen.any():
                found[KINDS[code]] = union(make_intervals(rows.starts[chosen], rows.ends[chosen]))
        return found

    @cached_property
    def split_kinds(self) -> frozenset[str]:
        """Communication kinds of which waiting was told from transferring for any operation."""
        known = np.unique(self.rows.kinds[~self.rows.unsplit])
        return frozenset(KINDS[code] for code in known if code in COMMUNICATION_CODES)

    @cached_property
    def busy(self) -> Intervals:
        """When the rank computes, transfers or copies: all that is no bubble."""
        return union(self.compute, self.fused, self.memory, *self.transfers.values())

    @cached_property
    def first_come(self) -> tuple[tuple[Intervals, npt.NDArray[np.intp]], ...]:
        """For each of `KINDS` disjoint pieces of its transfers or computations, with their rows.

        An instant is of the row of that kind that began first.
        """
        chosen = [np.flatnonzero(self.rows.kinds == code) for code in range(len(KINDS))]
        return tuple(map(self._first_of, chosen))

    def _first_of(self, chosen: npt.NDArray[np.intp]) -> tuple[Intervals, npt.NDArray[np.intp]]:
        pieces, owner = first_come(
            Intervals(self.rows.transfers_ns[chosen], self.rows.ends[chosen])
        )
        return pieces, chosen[owner]

    @cached_property
    def _kinds_present(self) -> tuple[int, ...]:
        present = set(np.unique(self.rows.kinds).tolist())
        return tuple(code for code in COMMUNICATION_CODES if code in present)

    def _beside_fused(self, code: int) -> Intervals:
        whole = self._transfer_union(code)
        return subtract(whole, self.fused) if len(self.fused.starts) else whole

    def transfer_pieces(
        self, chosen: npt.NDArray[np.intp]
    ) -> tuple[Intervals, npt.NDArray[np.intp]]:
        """When each of the rows `chosen` transfers, and which of them each piece is of.

        Of a message that was posted and waited for later, what runs under computing is left out:
        it need not have been under way then, and is never called hidden.
        """
        rows = self.rows
        spans = Intervals(rows.transfers_ns[chosen], rows.ends[chosen])
        posted = np.flatnonzero(rows.posted[chosen])
        if not len(posted):
            return spans, np.arange(len(chosen))
        own, owner = first_come(Intervals(spans.starts[posted], spans.ends[posted]))
        left = subtract(own, self.compute)
        of = posted[owner[np.searchsorted(own.starts, left.starts, side="right") - 1]]
        others = np.flatnonzero(~rows.posted[chosen])
        starts = np.concatenate([spans.starts[others], left.starts])
        ends = np.concatenate([spans.ends[others], left.ends])
        return Intervals(starts, ends), np.concatenate([others, of])

    def _transfer_union(self, code: int) -> Intervals:
        pieces, _ = self.transfer_pieces(np.flatnonzero(self.rows.kinds == code))
        return union(make_intervals(pieces.starts, pieces.ends))


@dataclass(frozen=True)
class Stragglers:
    """Whom the communications of each rank wait for, in the order of its events.

    `waits` says what waits for them, of the ranks `knows_waits`.
    """

    ranks: npt.NDArray[np.int32]
    causes: npt.NDArray[np.int32]
    waits: pd.DataFrame
    knows_waits: frozenset[int]

    @classmethod
    def of(cls, run: Run) -> Stragglers:
        """Those of a run, from the communications of all its ranks."""
        communications = run.held.communications
        causes = cause_ranks(communications, texts(communications[KIND]))
        ranks = communications[RANK].to_numpy(np.int32)
        return cls(ranks, causes, run.waits, run.knows_waits)

    def awaited_ns(self, rank: int, events: pd.DataFrame) -> npt.NDArray[np.int64] | None:
        """From when on work of a rank waits for each of its events; None where it is not known."""
        if rank not in self.knows_waits:
            return None
        return awaited_from(events, self.waits[self.waits[RANK] == rank])

    def of_rank(self, rank: int) -> npt.NDArray[np.int32]:
        """One entry per communication of the rank: a rank, or -1 where none is known."""
        low, high = np.searchsorted(self.ranks, [rank, rank + 1])
        return self.causes[low:high]


def activities_with_events(
    events: pd.DataFrame, rank: int, windows: Windows, stragglers: Stragglers
) -> Iterator[tuple[Activity, pd.DataFrame]]:
    """The activity of one rank, whose `events` these are, in each step of `windows`, in order.

    Each with its events, uncut: row i of its `EventColumns` is row i of this table.
    """
    causes = np.full(len(events), -1, dtype=np.int32)
    communicates = events[KIND].isin(COMMUNICATION_KINDS).to_numpy(dtype=bool)
    causes[communicates] = stragglers.of_rank(rank)
    awaited = stragglers.awaited_ns(rank, events)
    order = np.argsort(events[START].to_numpy(), kind="stable")
    events = events.iloc[order]
    rows = make_rows(events, causes[order], None if awaited is None else awaited[order])
    reach = np.maximum.accumulate(rows.ends) if len(events) else rows.ends
    last = max(windows.values(), default=(0, 0))
    for step, (start, end) in windows.items():
        low = int(np.searchsorted(reach, start, side="left"))
        high = int(np.searchsorted(rows.starts, end, side="right" if end == last[1] else "left"))
        part = rows.part(low, high)
        inside = part.begun_since(start) | (part.ends > start)
        if inside.all():
            found = events.iloc[low:high]
        else:
            part, found = part.where(inside), events.iloc[low:high][inside]
        cut = part.cut(start, end)
        yield Activity(rank, step, start, end, cut, awaited is not None), found
