"""A run of which only some ranks are seen, or waiting is not told apart in some communication."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.runs.events import RankEvents
from dpprof.runs.run import Run
from dpprof.tables.columns import GROUP, KIND, RANK, READY


class Channel(NamedTuple):
    """Communication of one kind that one rank does in one group."""

    rank: int
    kind: str
    group: str


def channels(communications: pd.DataFrame) -> tuple[list[Channel], npt.NDArray[Any]]:
    """The channels of a table of communications, and which of them each row is of."""
    keys = communications[[RANK, KIND, GROUP]]
    rows = keys.groupby([RANK, KIND, GROUP], sort=False, observed=True)
    numbers = rows.ngroup().to_numpy(np.intp)
    found = keys.drop_duplicates()
    columns = (found[column].tolist() for column in (RANK, KIND, GROUP))
    return list(map(Channel, *columns)), numbers


@dataclass(frozen=True)
class _View:
    """The events of some ranks, with waiting not told apart in some; reads as it goes."""

    held: RankEvents
    ranks: frozenset[int]
    unsplit: frozenset[Channel]

    def of_rank(self, rank: int) -> pd.DataFrame:
        """The events of one rank."""
        events = self.held.of_rank(rank)
        return self._changed(events if rank in self.ranks else events.iloc[:0])

    @property
    def communications(self) -> pd.DataFrame:
        """All communications of the ranks."""
        every = self.held.communications
        return self._changed(every[every[RANK].isin(self.ranks)].reset_index(drop=True))

    @property
    def spans(self) -> pd.DataFrame:
        """Rank, step, earliest start and latest end."""
        spans = self.held.spans
        return spans[spans[RANK].isin(self.ranks)]

    @property
    def count(self) -> int:
        """About how many events there are: those of all ranks."""
        return self.held.count

    def whole(self) -> pd.DataFrame:
        """All events of the ranks."""
        events = self.held.whole()
        return self._changed(events[events[RANK].isin(self.ranks)])

    @cached_property
    def _kinds(self) -> frozenset[str]:
        return frozenset(channel.kind for channel in self.unsplit)

    def _changed(self, events: pd.DataFrame) -> pd.DataFrame:
        if not self.unsplit:
            return events
        unsplit = events[KIND].isin(self._kinds).to_numpy(dtype=bool, copy=True)
        found, numbers = channels(events[unsplit])
        unsplit[unsplit] = np.array([one in self.unsplit for one in found], dtype=bool)[numbers]
        return events.assign(**{READY: events[READY].where(~unsplit, -1)})


def restricted(run: Run, ranks: Set[int], unsplit: Set[Channel] = frozenset()) -> Run:
    """The run with these ranks, waiting counting as transfer in the communication of `unsplit`."""

    def of_ranks(table: pd.DataFrame) -> pd.DataFrame:
        return table[table[RANK].isin(ranks)]

    return replace(
        run,
        held=_View(run.held, frozenset(ranks), frozenset(unsplit)),
        places=tuple(place for place in run.places if place.rank in ranks),
        slots=of_ranks(run.slots),
        memory=of_ranks(run.memory),
        steps=of_ranks(run.steps),
        clocks=of_ranks(run.clocks),
        host_spans=of_ranks(run.host_spans),
    )
