"""What one step took far longer than the others: a slot of a rank, or the rank's whole work.

Slow slots are slow in most steps; an outlier is slow once (a pause for garbage, a page fault, a
clock that was turned down), and lengthens the mean of few steps by much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from dpprof.analysis.accounting.account import Accounting
from dpprof.analysis.observations import Outlier
from dpprof.analysis.slow_slots import KINDS_OF_TIME, What
from dpprof.tables.columns import RANK, SLOT, STEP
from dpprof.tables.kinds import BUBBLE_HOST, COMPUTE_ONLY, OVERLAP

MOST = 5
_FEWEST_STEPS = 3
_FACTOR = 1.3
_SHARE_OF_STEP = 0.02
_SPREADS = 4
"""By how many of its own usual deviations (median over the steps) a length must stand out."""


def outliers(
    slots: Mapping[int, pd.DataFrame], accounting: Accounting, step_ns: int | None
) -> list[Outlier]:
    """The slots and ranks that took long in one step; the longest first, at most five.

    `slots` is what `slot_lengths` gives. What stands out is more than 1.3 times the median over
    the steps, by at least 2 % of the mean step, and by more than four times what a step usually
    deviates: what is never twice the same has no outliers. Of fewer than three steps nothing does.
    A rank is named where no one slot of it explains half of what its step took longer.
    """
    if not step_ns or accounting.states[STEP].nunique() < _FEWEST_STEPS:
        return []
    least_ns = _SHARE_OF_STEP * step_ns
    of_slots = [
        one for rank, table in slots.items() for one in _standing_out(rank, table, SLOT, least_ns)
    ]
    explained: dict[tuple[int, int, What], int] = {}
    for one in of_slots:
        place = (one.rank, one.step, one.what)
        explained[place] = max(explained.get(place, 0), one.excess_ns)
    of_ranks = [
        one
        for rank, table in _work(accounting).groupby(RANK)
        for one in _standing_out(int(str(rank)), table, RANK, least_ns)
    ]
    whole = {
        (one.rank, one.step, one.what): one
        for one in of_ranks
        if explained.get((one.rank, one.step, one.what), 0) < one.excess_ns / 2
    }
    kept = [one for one in of_slots if (one.rank, one.step, one.what) not in whole]
    return sorted([*kept, *whole.values()], key=lambda one: -one.excess_ns)[:MOST]


def _work(accounting: Accounting) -> pd.DataFrame:
    """A row per rank and step: what it computed, and how long the device waited for its host."""
    states = accounting.states
    computing = states[COMPUTE_ONLY] + states[OVERLAP]
    idle = states[BUBBLE_HOST]
    return pd.DataFrame(
        {RANK: states[RANK], STEP: states[STEP], "compute": computing, "host": idle}
    )


def _standing_out(rank: int, table: pd.DataFrame, by: str, least_ns: float) -> Iterator[Outlier]:
    for what in KINDS_OF_TIME:
        usual = table.groupby(by)[what].transform("median")
        steps = table.groupby(by)[STEP].transform("nunique")
        more = table[what] - usual
        usually_off = more.abs().groupby(table[by]).transform("median")
        stands_out = more > (_SPREADS * usually_off).clip(lower=least_ns)
        wanted = stands_out & (table[what] > _FACTOR * usual) & (steps >= _FEWEST_STEPS)
        odd = table[wanted]
        names = odd[SLOT].tolist() if by == SLOT else [""] * len(odd)
        rows = zip(
            odd[STEP].tolist(), names, odd[what].tolist(), usual[wanted].tolist(), strict=True
        )
        for step, slot, length, usually in rows:
            yield Outlier(
                rank=rank,
                step=step,
                slot=slot,
                what=what,
                length_ns=round(length),
                usual_ns=round(usually),
                excess_ns=round(length - usually),
            )
