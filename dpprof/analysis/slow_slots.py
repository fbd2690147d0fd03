"""Schedule slots that take far longer than their siblings, and what of it is computing.

Siblings are the slots of the same operation and direction on the same rank: they do the same work
on other micro-batches. A slot is compared by its (lower) median over the steps, so that one that
was slow once is not named; of a single step nothing tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np
import pandas as pd

from dpprof.analysis.observations import SlowSlot
from dpprof.runs.run import Run
from dpprof.tables.columns import END, KIND, RANK, SLOT, START, STEP
from dpprof.tables.intervals import Intervals, length_before, make_intervals, union
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE

MOST = 5
_FACTOR = 1.3
_SHARE_OF_STEP = 0.01
_OPERATION = r"([FBIW]\d+)\.\d+"
_COMPUTING: Final = "compute"
_IDLE: Final = "host"

What = Literal["compute", "host"]
KINDS_OF_TIME: tuple[What, ...] = (_COMPUTING, _IDLE)
"""What time is looked at: computing, and neither computing nor communicating."""


def slot_lengths(run: Run) -> dict[int, pd.DataFrame]:
    """By rank, a row for each slot of the used steps: step, slot, and its time by kind."""
    found = {place.rank: _lengths(run, place.rank) for place in run.places}
    return {rank: table for rank, table in found.items() if not table.empty}


def slow_slots(lengths: Mapping[int, pd.DataFrame], step_ns: int | None) -> list[SlowSlot]:
    """The slots whose computing, or whose time without it, stands out; the longest first.

    What stands out is more than 1.3 times the siblings' and at least 1 % of the step.
    """
    if not step_ns:
        return []
    least_ns = _SHARE_OF_STEP * step_ns
    found = [one for rank, table in lengths.items() for one in _of_rank(rank, table, least_ns)]
    return sorted(found, key=lambda one: -one.excess_ns)[:MOST]


def newly_slow(base: Sequence[SlowSlot], new: Sequence[SlowSlot]) -> list[SlowSlot]:
    """Of `new` what `base` has not, or has by less than half of it."""
    before = {(one.rank, one.slot, one.what): one.excess_ns for one in base}
    return [one for one in new if before.get((one.rank, one.slot, one.what), 0) < one.excess_ns / 2]


def _of_rank(rank: int, lengths: pd.DataFrame, least_ns: float) -> Iterator[SlowSlot]:
    for what in KINDS_OF_TIME:
        by_slot = lengths.groupby(SLOT)[what].quantile(0.5, interpolation="lower")
        siblings = by_slot.index.str.replace(_OPERATION, r"\1", regex=True)
        usual = by_slot.groupby(siblings).transform("median")
        wanted = (by_slot - usual > least_ns) & (by_slot > _FACTOR * usual)
        for slot in by_slot.index[wanted].tolist():
            yield SlowSlot(
                rank=rank,
                slot=slot,
                what=what,
                length_ns=round(by_slot[slot]),
                siblings_ns=round(usual[slot]),
                excess_ns=round(by_slot[slot] - usual[slot]),
            )


def _lengths(run: Run, rank: int) -> pd.DataFrame:
    """Slot, and the time it computed and neither computed nor communicated, in every used step."""
    slots = run.slots[(run.slots[RANK] == rank) & run.slots[STEP].isin(run.used_steps)]
    if slots.empty:
        return pd.DataFrame(columns=[STEP, SLOT, _COMPUTING, _IDLE])
    events = run.held.of_rank(rank)
    computing = _spans(events[events[KIND] == COMPUTE])
    either = union(computing, _spans(events[events[KIND].isin(COMMUNICATION_KINDS)]))
    starts, ends = (slots[name].to_numpy(np.int64) for name in (START, END))
    busy = length_before(computing, ends) - length_before(computing, starts)
    covered = length_before(either, ends) - length_before(either, starts)
    idle = ends - starts - covered
    names = {STEP: slots[STEP], SLOT: slots[SLOT].astype(str)}
    return pd.DataFrame({**names, _COMPUTING: busy, _IDLE: idle})


def _spans(events: pd.DataFrame) -> Intervals:
    return union(make_intervals(events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)))
