"""Matches communications across ranks, and fills in when the last participant was ready.

A receive or collective starts when its rank gets there and spins until its peers do; the time
from which all of them are there splits its duration into waiting and transfer. Source: the
definitions of the metrics, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import END, GROUP, KIND, RANK, SEQUENCE, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.steps import OUTSIDE

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
        source, arrow, target = group.partition(">")
        if arrow and source.isdecimal() and target.isdecimal():
            return tuple(sorted({int(source), int(target)}))
        listed = self.groups.get(rank, {}).get(group, ())
        return listed or (users if self.complete else ())


def match_groups(events: pd.DataFrame, peers: Peers) -> npt.NDArray[np.int64]:
    """READY of every event: the latest start among the participants, -1 where it is not known.

    Operations are the same if step, group, its participants, kind and sequence number are; they
    count as matched only if every participant is present. Events that are no communication, or
    of unknown group or number, are `UNSPLIT`.
    """
    ready = np.full(len(events), UNSPLIT, dtype=np.int64)
    rows = _candidates(events)
    if not len(rows):
        return ready
    keys = events.iloc[rows][[STEP, GROUP, KIND, SEQUENCE, RANK, START]].reset_index(drop=True)
    members, size = _participants(keys, peers)
    keys["members"], keys["size"] = members, size
    same = keys.groupby([STEP, GROUP, KIND, SEQUENCE, "members"], observed=True, sort=False)
    operation = same.ngroup().to_numpy()
    starts = keys.assign(operation=operation).groupby(["operation", RANK], as_index=False)
    by_operation = starts.agg({START: "min"}).groupby("operation")[START].agg(["max", "size"])
    latest = by_operation["max"].to_numpy()[operation]
    seen = by_operation["size"].to_numpy()[operation]
    matched = (size > 0) & (seen == size)
    ready[rows[matched]] = latest[matched]
    return ready


def _candidates(events: pd.DataFrame) -> npt.NDArray[np.intp]:
    known = (events[GROUP] != "") & (events[SEQUENCE] >= 0) & (events[STEP] != OUTSIDE)
    return np.flatnonzero(known & events[KIND].isin(COMMUNICATION_KINDS))


def _participants(
    keys: pd.DataFrame, peers: Peers
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for the participants of each row, and how many they are (0: not known)."""
    pairs = keys[[RANK, GROUP]].drop_duplicates()
    users = {
        str(group): tuple(sorted(ranks.unique().tolist()))
        for group, ranks in pairs.groupby(GROUP, observed=True)[RANK]
    }
    numbers: dict[Ranks, int] = {}
    found = {}
    for rank, group in pairs.itertuples(index=False):
        ranks = peers.of(rank, str(group), users[str(group)])
        known = ranks if rank in ranks else ()
        found[rank, str(group)] = (numbers.setdefault(known, len(numbers)), len(known))
    index = pd.MultiIndex.from_frame(keys[[RANK, GROUP]].astype({GROUP: object}))
    table = pd.DataFrame(found.values(), index=pd.MultiIndex.from_tuples(list(found)))
    aligned = table.reindex(index)
    return aligned[0].to_numpy(np.int64), aligned[1].to_numpy(np.int64)


def match_by_order(
    events: pd.DataFrame, peers: Peers, no_wait: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Sequence numbers for collectives without metadata, -1 for all other events.

    Older traces do not name groups. Where every rank of the world is present and does equally
    many operations of a kind in a step, the n-th of each are taken for one operation over all
    ranks, unless that contradicts causality for one of them (a collective cannot end before its
    last participant has started). `no_wait` marks events that are not to be matched.
    """
    sequence = np.full(len(events), -1, dtype=np.int64)
    if not peers.complete or len(peers.present) < 2:
        return sequence
    kinds = [kind for kind in COMMUNICATION_KINDS if kind != _POINT_TO_POINT]
    bare = (events[GROUP] == "") & events[KIND].isin(kinds) & (events[STEP] != OUTSIDE)
    rows = np.flatnonzero(bare & ~no_wait)
    if not len(rows):
        return sequence
    keys = events.iloc[rows][[STEP, KIND, RANK, START, END]].assign(row=rows)
    keys = keys.sort_values(START, kind="stable").astype({KIND: object})
    keys["number"] = keys.groupby([STEP, KIND, RANK]).cumcount()
    operations = keys.groupby([STEP, KIND, "number"])
    keys["count"] = operations[RANK].transform("size")
    keys["latest"] = operations[START].transform("max")
    sound = (keys["count"] == len(peers.present)) & (keys["latest"] < keys[END])
    usable = sound.groupby([keys[STEP], keys[KIND]]).transform("all")
    chosen = keys[usable]
    sequence[chosen["row"]] = chosen["number"]
    return sequence
