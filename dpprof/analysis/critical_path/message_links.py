"""Which side of a communication was last to come: where its path goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.pipeline_messages import sends
from dpprof.tables.blocks import row_blocks
from dpprof.tables.columns import GROUP, KIND, PEER, RANK, READY, SEQUENCE, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS

_P2P = COMMUNICATION_KINDS[0]


class Link(NamedTuple):
    """The event that a communication waited for: a rank, and which of its communications."""

    rank: int
    number: int


@dataclass(frozen=True)
class Links:
    """For every communication the event of the last participant, by rank and number in it."""

    offsets: dict[int, int]
    counts: dict[int, int]
    rank: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]

    def leads(self, rank: int) -> npt.NDArray[np.bool_]:
        """Which communications of a rank lead to another one."""
        first = self.offsets.get(rank, 0)
        return self.rank[first : first + self.counts.get(rank, 0)] >= 0

    def of(self, rank: int, number: int) -> Link | None:
        """Where communication `number` of a rank leads; None for no other rank, or no such one."""
        if number < 0 or rank not in self.offsets:
            return None
        row = self.offsets[rank] + number
        return Link(int(self.rank[row]), int(self.number[row])) if self.rank[row] >= 0 else None


def find_links(communications: pd.DataFrame) -> Links:
    """Links of all communications of a run, given by rank, each in the order of its events.

    The last participant is the one that started at READY; of a message that both sides started
    at once it is the sender.
    """
    ranks = communications[RANK].to_numpy(np.int64)
    present, first = np.unique(ranks, return_index=True)
    counts = np.diff(np.append(first, len(ranks)))
    number = np.arange(len(ranks)) - np.repeat(first, counts)
    result = np.full(len(ranks), -1, dtype=np.int64)
    for rows, targets in _matches(communications):
        free = result[rows] < 0
        result[rows[free]] = targets[free]
    found = result >= 0
    return Links(
        dict(zip(present.tolist(), first.tolist(), strict=True)),
        dict(zip(present.tolist(), counts.tolist(), strict=True)),
        np.where(found, ranks[result], -1),
        np.where(found, number[result], -1),
    )


def _matches(
    events: pd.DataFrame,
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """(rows, rows they lead to): by operation, and for messages by peer."""
    message = (events[KIND] == _P2P).to_numpy()
    sending = np.zeros(len(events), dtype=bool)
    sending[message] = sends(events[message])
    named = np.flatnonzero((events[SEQUENCE] >= 0).to_numpy() | message)
    for own in row_blocks(events[GROUP].iloc[named]):
        rows = named[own]
        left, right = _asking(events, rows, message[rows], sending[rows])
        right = right[right[SEQUENCE] >= 0]
        yield _joined(left, right, ["kind", STEP, "at", GROUP, SEQUENCE])
    rows = np.flatnonzero(message)
    left, right = _asking(events, rows, message[rows], sending[rows])
    right = right.rename(columns={RANK: PEER, PEER: RANK})
    yield _joined(left, right, ["kind", STEP, "at", PEER])


def _asking(
    events: pd.DataFrame,
    rows: npt.NDArray[np.intp],
    message: npt.NDArray[np.bool_],
    sending: npt.NDArray[np.bool_],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Those of some rows that wait, `at` their peers' coming; and all, `at` their start."""
    part = events[[STEP, SEQUENCE, RANK, PEER, KIND, GROUP, START, READY]].iloc[rows]
    starts, ready = part[START].to_numpy(np.int64), part[READY].to_numpy(np.int64)
    asks = (ready > starts) | (message & ~sending & (ready == starts))
    kinds, groups = (part[name].astype("category").cat for name in (KIND, GROUP))
    codes = {"kind": kinds.codes.to_numpy(), GROUP: groups.codes.to_numpy()}
    frame = part[[STEP, SEQUENCE, RANK, PEER]].assign(row=rows, **codes)
    return frame.assign(at=ready)[asks], frame.assign(at=starts)


def _joined(
    left: pd.DataFrame, right: pd.DataFrame, on: list[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    joined = left[[*on, RANK, "row"]].merge(
        right[[*on, RANK, "row"]], on=on, suffixes=("", "_last")
    )
    other = RANK + "_last" if PEER not in on else PEER
    joined = joined[joined[other] != joined[RANK]].drop_duplicates("row")
    return joined["row"].to_numpy(np.intp), joined["row_last"].to_numpy(np.intp)
