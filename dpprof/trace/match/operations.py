"""Matches communications across ranks, and fills in when the last participant was ready.

A receive or collective starts when its rank gets there and spins until its peers do; the time
from which all of them are there splits its duration into waiting and transfer. Source: the
definitions of the metrics, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import END, GROUP, KIND, LAUNCH, RANK, SEQUENCE, START, STEP
from dpprof.tables.edges import edge_of
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.activities.steps import OUTSIDE

Ranks = tuple[int, ...]

UNSPLIT = -1
ALL_RANKS = "all ranks"
"""Group of operations without metadata that are matched by order over the whole world."""

_POINT_TO_POINT = COMMUNICATION_KINDS[0]


@dataclass(frozen=True)
class Peers:
    """Who takes part: the ranks present, the world, and each rank's own groups by name."""

    present: Ranks
    world_size: int
    groups: Mapping[int, Mapping[str, Ranks]]

    @property
    def complete(self) -> bool:
        """Whether no rank of the world is missing."""
        return len(self.present) >= self.world_size

    def of(self, rank: int, group: str, users: Ranks) -> Ranks:
        """The participants of `group` as `rank` knows it; empty where they are not known.

        `users` are the ranks whose traces use the group: all of them, if no rank is missing.
        """
        edge = edge_of(group)
        if edge is not None:
            return tuple(sorted(set(edge)))
        listed = self.groups.get(rank, {}).get(group, ())
        return listed or (users if self.complete else ())


class Matched(NamedTuple):
    """Events that are of the same operation as others: positions in the table, and which one.

    Only operations of which every participant is present.
    """

    rows: npt.NDArray[np.intp]
    operation: npt.NDArray[np.int64]


def match_operations(events: pd.DataFrame, peers: Peers) -> Matched:
    """The communications of which all participants are found, whatever their clocks say.

    Operations are the same if step, group, its participants, kind and sequence number are. Events
    that are no communication, or of unknown group or number, match nothing.
    """
    rows = _candidates(events)
    if not len(rows):
        return Matched(rows, np.zeros(0, dtype=np.int64))
    members, size = _participants(events, rows, peers)
    possible = np.flatnonzero((size > 0) & (size <= len(peers.present)))
    if not len(possible):
        return Matched(rows[:0], np.zeros(0, dtype=np.int64))
    rows, size, members = rows[possible], size[possible], members[possible]
    keys = events.iloc[rows][[STEP, GROUP, KIND, SEQUENCE, RANK]].assign(members=members)
    same = keys.groupby([STEP, GROUP, KIND, SEQUENCE, "members"], observed=True, sort=False)
    operation = same.ngroup().to_numpy()
    present = keys.assign(operation=operation)[["operation", RANK]].drop_duplicates()
    seen = np.bincount(present["operation"])[operation]
    whole = seen == size
    return Matched(rows[whole], operation[whole])


def match_groups(events: pd.DataFrame, peers: Peers) -> npt.NDArray[np.int64]:
    """READY of every event: the latest start among the participants, `UNSPLIT` where not known."""
    return ready_of(events, match_operations(events, peers))


def ready_of(events: pd.DataFrame, matched: Matched) -> npt.NDArray[np.int64]:
    """READY of every event, given what is matched.

    A participant with several events in an operation has started with the first of them.
    """
    ready = np.full(len(events), UNSPLIT, dtype=np.int64)
    if not len(matched.rows):
        return ready
    keys = events.iloc[matched.rows][[RANK, START]].assign(operation=matched.operation)
    starts = keys.groupby(["operation", RANK])[START].min().groupby("operation").max()
    ready[matched.rows] = starts.reindex(matched.operation).to_numpy(np.int64)
    return ready


def _candidates(events: pd.DataFrame) -> npt.NDArray[np.intp]:
    known = (events[GROUP] != "") & (events[SEQUENCE] >= 0) & (events[STEP] != OUTSIDE)
    return np.flatnonzero(known & events[KIND].isin(COMMUNICATION_KINDS))


def _participants(
    events: pd.DataFrame, rows: npt.NDArray[np.intp], peers: Peers
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for the participants of each of `rows`, and how many they are (0: not known)."""
    groups = events[GROUP].astype("category").cat
    count = len(groups.categories)
    pair = events[RANK].to_numpy(np.int64)[rows] * count + groups.codes.to_numpy(np.int64)[rows]
    unique, of_row = np.unique(pair, return_inverse=True)
    names = [str(name) for name in groups.categories]
    pairs = [(one // count, names[one % count]) for one in unique.tolist()]
    using: dict[str, list[int]] = {}
    for rank, group in pairs:
        using.setdefault(group, []).append(rank)
    users = {group: tuple(sorted(ranks)) for group, ranks in using.items()}
    numbers: dict[Ranks, int] = {}
    found = []
    for rank, group in pairs:
        ranks = peers.of(rank, group, users[group])
        known = ranks if rank in ranks else ()
        found.append((numbers.setdefault(known, len(numbers)), len(known)))
    members, size = np.array(found, dtype=np.int64).T
    return members[of_row], size[of_row]


def match_by_order(
    events: pd.DataFrame, peers: Peers, no_wait: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Sequence numbers for collectives without metadata, -1 for all other events.

    Those of `number_by_order`, unless they contradict causality for one operation of the step
    and kind (a collective cannot end before its last participant has started).
    """
    sequence = number_by_order(events, peers, no_wait)
    rows = np.flatnonzero(sequence >= 0)
    if not len(rows):
        return sequence
    keys = events.iloc[rows][[STEP, KIND, START, END]].assign(number=sequence[rows])
    keys = keys.astype({KIND: object})
    latest = keys.groupby([STEP, KIND, "number"])[START].transform("max")
    usable = (latest < keys[END]).groupby([keys[STEP], keys[KIND]]).transform("all")
    sequence[rows[~usable.to_numpy()]] = -1
    return sequence


def number_by_order(
    events: pd.DataFrame, peers: Peers, no_wait: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Sequence numbers for collectives without metadata by order alone, -1 for all other events.

    Older traces do not name groups. Where every rank of the world is present and does equally
    many operations of a kind in a step, the n-th of each are taken for one operation over all
    ranks. Between two ranks this holds for message kernels too, which a device runs in the order
    of their issue. `no_wait` marks events that are not to be matched.
    """
    sequence = np.full(len(events), -1, dtype=np.int64)
    if not peers.complete or len(peers.present) < 2:
        return sequence
    bare = (events[GROUP] == "") & events[KIND].isin(COMMUNICATION_KINDS)
    bare &= events[STEP] != OUTSIDE
    in_order = (events[LAUNCH] >= 0) & (len(peers.present) == 2)
    bare &= (events[KIND] != _POINT_TO_POINT) | in_order
    rows = np.flatnonzero(bare & ~no_wait)
    if not len(rows):
        return sequence
    keys = events.iloc[rows][[STEP, KIND, RANK, START]].assign(row=rows)
    keys = keys.sort_values(START, kind="stable").astype({KIND: object})
    keys["number"] = keys.groupby([STEP, KIND, RANK]).cumcount()
    count = keys.groupby([STEP, KIND, "number"])[RANK].transform("size")
    usable = (count == len(peers.present)).groupby([keys[STEP], keys[KIND]]).transform("all")
    chosen = keys[usable]
    sequence[chosen["row"]] = chosen["number"]
    return sequence
