"""Matches communications across ranks, and fills in when the last participant was ready.

A receive or collective starts when its rank gets there and spins until its peers do; the time
from which all of them are there splits its duration into waiting and transfer. Source: the
definitions of the metrics, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.blocks import row_blocks
from dpprof.tables.columns import GROUP, KIND, RANK, SEQUENCE, START, STEP
from dpprof.tables.edges import edge_of
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.rank.process_groups import OwnGroups, ProcessGroup, ranks_in

Ranks = tuple[int, ...]

UNSPLIT = -1
ALL_RANKS = "all ranks"
"""Group of operations without metadata that are matched by order over the whole world."""


@dataclass(frozen=True)
class OperationPeers:
    """Who takes part: the ranks present, the world, each rank's own groups by name, and all listed.

    `groups` are those of one meaning, `listed` every group that a rank's trace lists.
    """

    present: Ranks
    world_size: int
    groups: Mapping[int, Mapping[str, Ranks]]
    listed: Mapping[int, tuple[ProcessGroup, ...]] = field(default_factory=dict)

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
        if group == ALL_RANKS:
            return self.present if self.complete else ()
        listed = ranks_in(group) or self.groups.get(rank, {}).get(group, ())
        if listed:
            return listed
        sets = self.own(rank).sets(name=group) or self.own(rank).sets(description=group)
        if sets:
            return next(iter(sets)) if len(sets) == 1 else ()
        return users if self.complete else ()

    def own(self, rank: int) -> OwnGroups:
        """The groups that a rank's trace lists and that it is in."""
        return OwnGroups.of(rank, self.listed.get(rank, ()))


class Matched(NamedTuple):
    """Events that are of the same operation as others: positions in the table, and which one.

    Only operations of which every participant is present.
    """

    rows: npt.NDArray[np.intp]
    operation: npt.NDArray[np.int64]


def match_operations(events: pd.DataFrame, peers: OperationPeers) -> Matched:
    """The communications of which all participants are found, whatever their clocks say.

    Operations are the same if step, group, its participants, kind and sequence number are. Events
    that are no communication, or of unknown group or number, match nothing.
    """
    rows = candidates(events)
    return joined(
        [_matched(events, rows[own], peers) for own in row_blocks(events[GROUP].iloc[rows])]
    )


def joined(parts: Sequence[Matched]) -> Matched:
    """Matches of several tables of rows as one, no operation of two of them the same."""
    sizes = [int(part.operation.max()) + 1 if len(part.rows) else 0 for part in parts]
    firsts = np.cumsum([0, *sizes])
    return Matched(
        np.concatenate([part.rows for part in parts]),
        np.concatenate(
            [part.operation + first for part, first in zip(parts, firsts.tolist(), strict=False)]
        ),
    )


def _matched(events: pd.DataFrame, rows: npt.NDArray[np.intp], peers: OperationPeers) -> Matched:
    if not len(rows):
        return Matched(rows, np.zeros(0, dtype=np.int64))
    members, size = participants(events, rows, peers)
    possible = np.flatnonzero((size > 0) & (size <= len(peers.present)))
    if not len(possible):
        return Matched(rows[:0], np.zeros(0, dtype=np.int64))
    rows, size, members = rows[possible], size[possible], members[possible]
    keys = events[[STEP, GROUP, KIND, SEQUENCE, RANK]].iloc[rows].assign(members=members)
    same = keys.groupby([STEP, GROUP, KIND, SEQUENCE, "members"], observed=True, sort=False)
    operation = same.ngroup().to_numpy()
    present = keys.assign(operation=operation)[["operation", RANK]].drop_duplicates()
    seen = np.bincount(present["operation"])[operation]
    whole = seen == size
    return Matched(rows[whole], operation[whole])


def match_groups(events: pd.DataFrame, peers: OperationPeers) -> npt.NDArray[np.int64]:
    """READY of every event: the latest start among the participants, `UNSPLIT` where not known."""
    return ready_of(events, match_operations(events, peers))


def ready_of(events: pd.DataFrame, matched: Matched) -> npt.NDArray[np.int64]:
    """READY of every event, given what is matched.

    A participant with several events in an operation has started with the first of them.
    """
    ready = np.full(len(events), UNSPLIT, dtype=np.int64)
    if not len(matched.rows):
        return ready
    for own in row_blocks(matched.operation):
        rows, operation = matched.rows[own], matched.operation[own]
        keys = events[[RANK, START]].iloc[rows].assign(operation=operation)
        starts = keys.groupby(["operation", RANK])[START].min().groupby("operation").max()
        ready[rows] = starts.reindex(operation).to_numpy(np.int64)
    return ready


def candidates(events: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Positions of the communications that can be matched: of known group, number and step."""
    known = (events[GROUP] != "") & (events[SEQUENCE] >= 0) & (events[STEP] != OUTSIDE)
    return np.flatnonzero(known & events[KIND].isin(COMMUNICATION_KINDS))


def participants(
    events: pd.DataFrame, rows: npt.NDArray[np.intp], peers: OperationPeers
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for the participants of each of `rows`, and how many they are (0: not known)."""
    groups = events[GROUP].iloc[rows].astype("category").cat
    count = len(groups.categories)
    ranks = events[RANK].to_numpy()[rows].astype(np.int64)
    pair = ranks * count + groups.codes.to_numpy(np.int64)
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
        members_of = peers.of(rank, group, users[group])
        known = members_of if rank in members_of else ()
        found.append((numbers.setdefault(known, len(numbers)), len(known)))
    members, size = np.array(found, dtype=np.int64).T
    return members[of_row], size[of_row]
