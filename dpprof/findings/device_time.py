"""What the devices of each pipeline rank do, beside and inside of slots, as time covered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.runs.run import Run
from dpprof.tables.columns import COMPONENT, END, KIND, READY, START
from dpprof.tables.intervals import EMPTY, Intervals, length_before, make_intervals, union
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, FUSED

Nanoseconds = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_P2P = "p2p"


class DeviceTime:
    """Unions of a run's device activity by pipeline rank; waiting for peers is no activity.

    A pipeline rank of several ranks (expert or data parallel) is at work where any of them is.
    Messages between pipeline ranks are left out: they are the replay's own.
    """

    def __init__(self, run: Run) -> None:
        self._rows = {rank: _device_rows(run.held.of_rank(rank)) for rank in run.pp_rank}
        self._pp_rank = run.pp_rank

    def busy(self) -> dict[int, Intervals]:
        """When each pipeline rank does anything."""
        return self._unions(lambda rows: np.ones(len(rows.starts), bool))

    def unlabelled(self) -> dict[int, Intervals]:
        """When each pipeline rank does something that belongs to no component."""
        return self._unions(lambda rows: rows.component == "")

    def exposed(self, component: str) -> dict[int, tuple[Intervals, Intervals]]:
        """When each pipeline rank transfers for a component; and when it computes at all."""
        moves = self._unions(lambda rows: rows.moving & (rows.component == component))
        computes = self._unions(lambda rows: rows.computing)
        return {rank: (own, computes.get(rank, EMPTY)) for rank, own in moves.items()}

    def _unions(self, chosen: Callable[[_Rows], Mask]) -> dict[int, Intervals]:
        """By pipeline rank the union of the chosen rows of its ranks; without those of none."""
        found: dict[int, list[Intervals]] = {}
        for rank, rows in self._rows.items():
            mask = chosen(rows)
            if mask.any():
                own = make_intervals(rows.starts[mask], rows.ends[mask])
                found.setdefault(self._pp_rank[rank], []).append(union(own))
        return {rank: union(*found[rank]) for rank in sorted(found)}


class _Rows(NamedTuple):
    """What the device of a rank does, as few columns: those of all ranks are held."""

    starts: Nanoseconds
    ends: Nanoseconds
    computing: Mask
    moving: Mask
    component: pd.Categorical


def _device_rows(events: pd.DataFrame) -> _Rows:
    kept = events[[START, END, READY, KIND, COMPONENT]][(events[KIND] != _P2P).to_numpy(bool)]
    return _Rows(
        kept[[START, READY]].max(axis=1).to_numpy(np.int64),
        kept[END].to_numpy(np.int64),
        kept[KIND].isin([COMPUTE, FUSED]).to_numpy(bool),
        kept[KIND].isin(COMMUNICATION_KINDS).to_numpy(bool),
        pd.Categorical(kept[COMPONENT]),
    )


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
