"""The columns of the events table that the accounts read, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.awaited import NEVER
from dpprof.analysis.events.causes import COLLECTIVE, INPUT, RECEIVER, Causes
from dpprof.analysis.events.pipeline_messages import (
    P2P,
    positions,
    posted,
    producing_actions,
    sends,
    texts,
)
from dpprof.tables.columns import END, GROUP, KIND, LAUNCH, NAME, READY, START
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS

COMMUNICATION_CODES = tuple(KINDS.index(kind) for kind in COMMUNICATION_KINDS)


@dataclass(frozen=True)
class EventColumns:
    """Events, one array per column, all of one length.

    `kinds` are positions in `KINDS` (-1: none of them). ``transfers_ns[i]`` is where row i stops
    waiting: ``max(start, ready)``, at most its end; the start itself where READY is not known
    (`unsplit`) and for what is no communication. `causes` say whom and what a communication may
    wait for, `sending` marks the sender's side of a message, `posted` a message
    whose span goes from the call that posted it to the end of the wait for it: when in between it
    was under way is not known. `begins` marks what begins in the window that rows were cut to.
    From ``awaited_ns[i]`` on other work waits for row i; its end or later where none does.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    transfers_ns: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    unsplit: npt.NDArray[np.bool_]
    sending: npt.NDArray[np.bool_]
    posted: npt.NDArray[np.bool_]
    launches_ns: npt.NDArray[np.int64]
    causes: Causes
    names: npt.NDArray[np.object_]
    begins: npt.NDArray[np.bool_]
    awaited_ns: npt.NDArray[np.int64]

    def part(self, low: int, high: int) -> EventColumns:
        """Rows ``low`` to ``high - 1``, without copying."""
        return EventColumns(*(getattr(self, field.name)[low:high] for field in fields(self)))

    def where(self, chosen: npt.NDArray[np.bool_]) -> EventColumns:
        """The chosen rows."""
        return EventColumns(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def begun_since(self, instant: int) -> npt.NDArray[np.bool_]:
        """Which rows begin at an instant or later."""
        begun: npt.NDArray[np.bool_] = self.starts >= instant
        return begun

    def cut(self, start: int, end: int) -> EventColumns:
        """Rows that all reach into ``[start, end)``, without what lies outside."""
        begins = self.begun_since(start)
        if not len(begins) or (begins.all() and int(self.ends.max()) <= end):
            return self
        return replace(
            self,
            starts=np.maximum(self.starts, start),
            ends=np.minimum(self.ends, end),
            transfers_ns=np.clip(self.transfers_ns, start, end),
            begins=begins,
            awaited_ns=np.clip(self.awaited_ns, start, end),
        )


def make_rows(
    events: pd.DataFrame,
    cause_ranks: npt.NDArray[np.int32],
    awaited_ns: npt.NDArray[np.int64] | None = None,
) -> EventColumns:
    """Turn events (columns `EVENTS`) into `EventColumns`, in the same order.

    `cause_ranks` has the rank that each event may wait for (`stragglers.cause_ranks`).
    """
    kinds = positions(events[KIND], KINDS)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    ready = events[READY].to_numpy(np.int64)
    communicates = np.isin(kinds, COMMUNICATION_CODES)
    splits = communicates & (ready >= 0)
    wait_ends = np.where(splits, np.maximum(starts, ready), starts)
    message = kinds == KINDS.index(P2P)
    sending = np.zeros(len(events), dtype=bool)
    sending[message] = sends(events[message])
    return EventColumns(
        starts=starts,
        ends=ends,
        transfers_ns=np.minimum(wait_ends, np.maximum(starts, ends)),
        kinds=kinds,
        unsplit=communicates & ~splits,
        sending=sending,
        posted=message & posted(events[NAME]),
        launches_ns=events[LAUNCH].to_numpy(np.int64),
        causes=_causes(events, (communicates, message, sending), cause_ranks),
        names=texts(events[NAME]),
        begins=np.ones(len(events), dtype=bool),
        awaited_ns=np.full(len(events), NEVER, dtype=np.int64)
        if awaited_ns is None
        else awaited_ns,
    )


_KINDS = np.array([INPUT, RECEIVER, COLLECTIVE], dtype=object)


def _causes(
    events: pd.DataFrame,
    marks: Sequence[npt.NDArray[np.bool_]],
    ranks: npt.NDArray[np.int32],
) -> Causes:
    """What a communication waits for; `marks` tell communication, messages and those sent."""
    communicates, message, sending = marks
    names, groups = texts(events[KIND]), np.full(len(events), "", dtype=object)
    names[message] = producing_actions(events[message])
    groups[communicates] = texts(events[GROUP][communicates])
    return Causes(_KINDS[np.where(message, sending.astype(np.int64), 2)], names, ranks, groups)
