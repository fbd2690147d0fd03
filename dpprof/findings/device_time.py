"""What the devices of each pipeline rank do, beside and inside of slots, as time covered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.runs.run import Run
from dpprof.tables.columns import COMPONENT, END, KIND, RANK, READY, START
from dpprof.tables.intervals import EMPTY, Intervals, length_before, make_intervals, union
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, FUSED

Nanoseconds = npt.NDArray[np.int64]

_P2P = "p2p"


class DeviceTime:
    """Unions of a run's device activity by pipeline rank; waiting for peers is no activity.

    A pipeline rank of several ranks (expert or data parallel) is at work where any of them is.
    Messages between pipeline ranks are left out: they are the replay's own.
    """

    def __init__(self, run: Run) -> None:
        events = run.events[run.events[RANK].isin([*run.pp_rank])]
        kinds = events[KIND].astype(str)
        self._events = events[kinds != _P2P]
        self._kinds = kinds[kinds != _P2P]
        self._begin = self._events[[START, READY]].max(axis=1)
        self._pp_rank = self._events[RANK].map(run.pp_rank).to_numpy()
        self._component = self._events[COMPONENT].astype(str)

    def busy(self) -> dict[int, Intervals]:
        """When each pipeline rank does anything."""
        return self._unions(np.ones(len(self._events), bool))

    def unlabelled(self) -> dict[int, Intervals]:
        """When each pipeline rank does something that belongs to no component."""
        return self._unions((self._component == "").to_numpy(bool))

    def exposed(self, component: str) -> dict[int, tuple[Intervals, Intervals]]:
        """When each pipeline rank transfers for a component; and when it computes at all."""
        computing = self._kinds.isin([COMPUTE, FUSED]).to_numpy(bool)
        moving = self._kinds.isin(COMMUNICATION_KINDS).to_numpy(bool)
        moves = self._unions(moving & (self._component == component).to_numpy(bool))
        computes = self._unions(computing)
        return {rank: (own, computes.get(rank, EMPTY)) for rank, own in moves.items()}

    def _unions(self, chosen: npt.NDArray[np.bool_]) -> dict[int, Intervals]:
        rows = pd.DataFrame(
            {
                "rank": self._pp_rank[chosen],
                "start": self._begin[chosen].to_numpy(np.int64),
                "end": self._events[END][chosen].to_numpy(np.int64),
            }
        )
        return {
            int(str(rank)): union(make_intervals(own["start"], own["end"]))
            for rank, own in rows.groupby("rank")
        }


def covered(
    unions: Mapping[int, Intervals], pp_rank: Nanoseconds, starts: Nanoseconds, ends: Nanoseconds
) -> Nanoseconds:
    """Nanoseconds of ``[starts, ends)`` that the union of a slot's rank covers.

    Arrays are (steps, slots), `pp_rank` (slots).
    """
    lengths = np.zeros_like(starts)
    for rank, own in unions.items():
        slots = np.flatnonzero(pp_rank == rank)
        first, last = starts[:, slots], np.maximum(ends[:, slots], starts[:, slots])
        before, after = (length_before(own, one.reshape(-1)) for one in (first, last))
        lengths[:, slots] = (after - before).reshape(first.shape)
    return lengths
