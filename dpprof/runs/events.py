"""The events of a run, one rank at a time: a run may have more of them than memory holds."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from dpprof.tables.columns import END, KIND, RANK, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS


class RankEvents(Protocol):
    """Where the events of a run are (columns `dpprof.tables.columns.EVENTS`).

    Per-rank work asks for one rank after another and keeps none; cross-rank work reads the
    communications, which are few. Only what cannot do without takes the whole table.
    """

    def of_rank(self, rank: int) -> pd.DataFrame:
        """The events of one rank, in the order of its file; empty where it has none."""
        ...

    @property
    def communications(self) -> pd.DataFrame:
        """All events of a communication kind, by rank, then in the order of `of_rank`."""
        ...

    @property
    def spans(self) -> pd.DataFrame:
        """Rank, step, earliest start and latest end of its events; one row per rank and step."""
        ...

    @property
    def count(self) -> int:
        """How many events all ranks have."""
        ...

    def whole(self) -> pd.DataFrame:
        """All events of all ranks."""
        ...


def event_spans(events: pd.DataFrame) -> pd.DataFrame:
    """Rank, step, earliest start and latest end; one row per rank and step."""
    grouped = events.groupby([RANK, STEP], as_index=False)
    return grouped.agg({START: "min", END: "max"})


class HeldEvents:
    """Events that are one table in memory; knows which rows are whose after the first question."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table

    @cached_property
    def _rows(self) -> dict[int, np.ndarray[tuple[int], np.dtype[np.intp]]]:
        ranks = self._table[RANK].to_numpy()
        order = np.argsort(ranks, kind="stable")
        present, first = np.unique(ranks[order], return_index=True)
        return dict(zip(present.tolist(), np.split(order, first[1:]), strict=False))

    def of_rank(self, rank: int) -> pd.DataFrame:
        """The events of one rank, in the order of the table."""
        return self._table.iloc[self._rows.get(rank, slice(0, 0))]

    @cached_property
    def communications(self) -> pd.DataFrame:
        """All events of a communication kind, by rank, then in the order of the table."""
        found = self._table[self._table[KIND].isin(COMMUNICATION_KINDS)]
        return found.sort_values(RANK, kind="stable", ignore_index=True)

    @cached_property
    def spans(self) -> pd.DataFrame:
        """Rank, step, earliest start and latest end of its events."""
        return event_spans(self._table)

    @property
    def count(self) -> int:
        """Rows of the table."""
        return len(self._table)

    def whole(self) -> pd.DataFrame:
        """The table."""
        return self._table
