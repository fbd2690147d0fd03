"""The ranks of a run as parts: what is needed of all at once, and the events left where they are.

Matching needs the communications of all ranks, accounting the events of one; so a part holds the
first and knows how to get the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.runs.events import event_spans
from dpprof.tables.columns import (
    END,
    EVENTS,
    GROUP,
    KIND,
    PEER,
    READY,
    SEQUENCE,
    STEP,
    empty_table,
)
from dpprof.tables.concat import concat_tables
from dpprof.tables.devices import rank_order
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.activities.unknown_kernels import UnknownKernel
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.rank.tables import RankTables

NO_EVENTS = empty_table(EVENTS)
NO_SPANS = event_spans(NO_EVENTS)


@dataclass(frozen=True)
class RankPart:
    """One rank without its events, but for the communications.

    ``communications.iloc[i]`` is row ``positions[i]`` of the table that `load` gives, and need not
    wait for peers where ``no_wait[i]``. `spans` says from when to when each step goes
    (`event_spans`), `count` how many events there are;
    `explained` gives the table of that name, which only those who ask for it need. The other
    fields are those of `RankTables`.
    """

    file: Path
    rank: int
    identity: TraceIdentity
    on_gpu: bool
    communications: pd.DataFrame
    positions: npt.NDArray[np.intp]
    no_wait: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    spans: pd.DataFrame
    count: int
    slots: pd.DataFrame
    memory: pd.DataFrame
    steps: pd.DataFrame
    marked: tuple[int, ...]
    warnings: tuple[str, ...]
    load: Callable[[], pd.DataFrame]
    explained: Callable[[], pd.DataFrame]
    host_spans: pd.DataFrame
    waits: pd.DataFrame
    knows_waits: bool = False
    evidence: tuple[Evidence, ...] = ()
    unknown: tuple[UnknownKernel, ...] = ()


@dataclass(frozen=True)
class TableInMemory:
    """Gives a table that is in memory; unlike a lambda it can be passed to another process."""

    table: pd.DataFrame

    def __call__(self) -> pd.DataFrame:
        """The table."""
        return self.table


def make_part(tables: RankTables, file: Path) -> RankPart:
    """The part of a rank whose trace is `file`; its events stay in memory."""
    events = tables.events
    positions = np.flatnonzero(events[KIND].isin(COMMUNICATION_KINDS))
    return RankPart(
        file=file,
        rank=tables.rank,
        identity=tables.identity,
        on_gpu=tables.on_gpu,
        communications=events.iloc[positions].reset_index(drop=True),
        positions=positions,
        no_wait=tables.no_wait[positions],
        counted=tables.counted[positions],
        spans=event_spans(events),
        count=len(events),
        slots=tables.slots,
        memory=tables.memory,
        steps=tables.steps,
        marked=tables.marked,
        warnings=tables.warnings,
        load=TableInMemory(events),
        explained=TableInMemory(tables.explained),
        host_spans=tables.host_spans,
        waits=tables.waits,
        knows_waits=tables.knows_waits,
        evidence=tables.evidence,
        unknown=tables.unknown,
    )


class PartedEvents:
    """The events of a run in parts; `RankEvents` says what it gives.

    `communications` are those of all parts in order, with what matching has found: it counts
    before the parts' own, which are let go. With `one_step`, everything is step 0.
    """

    def __init__(
        self,
        parts: Sequence[RankPart],
        communications: pd.DataFrame,
        *,
        one_step: bool = False,
    ) -> None:
        self._parts = {part.rank: replace(part, communications=NO_EVENTS) for part in parts}
        self._matched = communications
        self._one_step = one_step
        ends = np.cumsum([len(part.positions) for part in parts])
        self._end_of = dict(zip(self._parts, ends.tolist(), strict=True))

    @property
    def communications(self) -> pd.DataFrame:
        """All events of a communication kind, matched, by rank, then in the order of `of_rank`."""
        return self._in_steps(self._matched)

    def of_rank(self, rank: int) -> pd.DataFrame:
        """The events of one rank, in the order of its file; empty where it has none."""
        part = self._parts.get(rank)
        if part is None:
            return empty_table(EVENTS)
        matched = self._matched_of(rank)
        return self._in_steps(_with_matched(part.load(), part.positions, matched))

    @property
    def spans(self) -> pd.DataFrame:
        """Rank, step, earliest start and latest end; one row per rank and step."""
        parts = [part.spans for part in self._parts.values() if len(part.spans)]
        if not parts:
            return NO_SPANS
        spans = pd.concat(parts, ignore_index=True)
        return event_spans(self._in_steps(spans)) if self._one_step else spans

    @property
    def count(self) -> int:
        """How many events all ranks have."""
        return sum(part.count for part in self._parts.values())

    def whole(self) -> pd.DataFrame:
        """All events of all ranks, in rank order."""
        return concat_tables(EVENTS, [self.of_rank(rank) for rank in self._parts])

    def explained(self) -> pd.DataFrame:
        """Which rule gave which activities their kind, as found when the traces were read.

        One row per distinct evidence and rank, its rank first; no trace is read again for it.
        """
        tables = [part.explained().assign(rank=rank) for rank, part in self._parts.items()]
        table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"rank": []})
        return table[["rank", *(name for name in table.columns if name != "rank")]]

    def as_one_step(self) -> PartedEvents:
        """The same with everything in step 0."""
        parts = tuple(self._parts.values())
        return PartedEvents(parts, self._matched, one_step=True)

    def beside(self, further: Sequence[RankPart]) -> PartedEvents:
        """The same with more parts, of which nothing is matched; all in order of their ranks."""
        own = [(part, self._matched_of(part.rank)) for part in self._parts.values()]
        pairs = own + [(part, part.communications) for part in further]
        pairs.sort(key=lambda pair: rank_order(pair[0].rank))
        matched = concat_tables(EVENTS, [table for _, table in pairs])
        return PartedEvents([part for part, _ in pairs], matched, one_step=self._one_step)

    def _matched_of(self, rank: int) -> pd.DataFrame:
        end = self._end_of[rank]
        return self._matched.iloc[end - len(self._parts[rank].positions) : end]

    def _in_steps(self, events: pd.DataFrame) -> pd.DataFrame:
        if not self._one_step:
            return events
        return events.assign(**{STEP: np.zeros(len(events), dtype=np.int32)})


def _with_matched(
    events: pd.DataFrame, positions: npt.NDArray[np.intp], matched: pd.DataFrame
) -> pd.DataFrame:
    result = events.copy(deep=False)
    for name in (END, PEER, SEQUENCE, READY):
        values = events[name].to_numpy().copy()
        values[positions] = matched[name].to_numpy()
        result[name] = values
    own = events[GROUP].iloc[positions].astype(object).to_numpy()
    given = matched[GROUP].astype(object).to_numpy()
    renamed = np.flatnonzero(own != given)
    if len(renamed):
        groups = events[GROUP].astype(object).to_numpy().copy()
        groups[positions[renamed]] = given[renamed]
        result[GROUP] = pd.Categorical(groups)
    return result
