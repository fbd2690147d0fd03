"""Which bubble regions were added, removed or changed from one run to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.accounting.account import Accounting, account
from dpprof.analysis.diff.bubbles import cause_of
from dpprof.analysis.diff.common_ranks import CommonRanks, comparable
from dpprof.analysis.diff.model import BubbleCause, Presence
from dpprof.analysis.diff.parts import common_count, numbered
from dpprof.analysis.diff.work_labels import Labels
from dpprof.analysis.events.slot_names import read_slot
from dpprof.runs.run import Run
from dpprof.tables.columns import CAUSE, CAUSE_KIND, END, RANK, SLOT, START, STATE, STEP


class HeldUp(NamedTuple):
    """What a bubble held up: a state of a rank (NEW's number, -1 where ranks do not correspond).

    `stage`, `micro_batch` and `operation` are of the work that could not start, -1 and empty where
    the trace does not say; `cause` is what was waited for, the same in every schedule.
    """

    rank: int
    state: str
    stage: int
    micro_batch: int
    operation: str
    cause: BubbleCause


@dataclass(frozen=True)
class LongestBubble:
    """The longest of some regions: where to look; `offset_ns` counts from the step's start."""

    rank: int
    step: int
    offset_ns: int
    length_ns: int


@dataclass(frozen=True)
class RegionChange:
    """Bubbles that held up the same work, on both sides.

    Times are those of `RegionChanges.steps` steps; `base` and `new` are the longest region of
    each side, None where there is none.
    """

    held: HeldUp
    base_ns: int
    new_ns: int
    base: LongestBubble | None
    new: LongestBubble | None

    @property
    def change_ns(self) -> int:
        """How much longer they are in NEW."""
        return self.new_ns - self.base_ns

    @property
    def presence(self) -> Presence:
        """Whether a side has none of them."""
        if self.base is None:
            return "added"
        return "both" if self.new is not None else "removed"


@dataclass(frozen=True)
class RegionChanges:
    """All bubble regions of two runs, most change first.

    Together with `not_listed_ns` (regions so short that the accounts do not list them, BASE's and
    NEW's) they are the bubbles of both sides exactly.
    """

    steps: int
    changes: tuple[RegionChange, ...]
    not_listed_ns: tuple[int, int]


def region_changes(
    base: Run, new: Run, known: tuple[Accounting, Accounting] | None = None
) -> RegionChanges:
    """Match the bubble regions of two runs by rank, state and the work that could not start.

    `known` are the accounts of both, where they are at hand. Raises `DpprofError` where a side
    has no activity.
    """
    sides = comparable(base, new)
    accounts = _accounts(sides, (base, new), known)
    steps, scale = common_count(*(one.states[STEP].nunique() for one in accounts))
    rows: dict[HeldUp, _BubbleRow] = {}
    for side, (run, scaled) in enumerate(((sides.base, scale.base), (sides.new, scale.new))):
        for held, total_ns, longest in _regions(run, accounts[side], _numbers(sides, side)):
            rows.setdefault(held, _BubbleRow()).add(side, total_ns * scaled, longest)
    changes = [
        RegionChange(held, row.times_ns[0], row.times_ns[1], row.longest[0], row.longest[1])
        for held, row in rows.items()
    ]
    changes.sort(key=lambda one: (-abs(one.change_ns), one.held[:-1], str(one.held.cause)))
    left_out = accounts[0].left_out.total_ns * scale.base, accounts[1].left_out.total_ns * scale.new
    return RegionChanges(steps, tuple(changes), left_out)


def _accounts(
    sides: CommonRanks, runs: tuple[Run, Run], known: tuple[Accounting, Accounting] | None
) -> tuple[Accounting, Accounting]:
    """The accounts of both sides; those known hold where a side is the whole run as it was."""
    compared = (sides.base, sides.new)
    first, second = (
        known[side] if known is not None and compared[side] is runs[side] else account(run)
        for side, run in enumerate(compared)
    )
    return first, second


class _BubbleRow:
    """Adds up the regions of one key; has state while they are gone through."""

    def __init__(self) -> None:
        self.times_ns = [0, 0]
        self.longest: list[LongestBubble | None] = [None, None]

    def add(self, side: int, total_ns: int, longest: LongestBubble) -> None:
        """Count regions of a side, with the longest of them."""
        self.times_ns[side] += total_ns
        best = self.longest[side]
        if best is None or longest.length_ns > best.length_ns:
            self.longest[side] = longest


def _numbers(sides: CommonRanks, side: int) -> Mapping[int, int]:
    """From a side's ranks to NEW's."""
    return {pair[side]: pair[1] for pair in sides.pairs}


def _regions(
    run: Run, accounts: Accounting, numbers: Mapping[int, int]
) -> Iterator[tuple[HeldUp, int, LongestBubble]]:
    """What bubbles held up, for how long in all, and the longest; in the order of the longest."""
    labels = Labels.of(run)
    begin = accounts.states.groupby(STEP)[START].first().to_dict()
    alike, total_ns = _alike(accounts.regions)
    names = [RANK, STEP, START, END, STATE, CAUSE_KIND, CAUSE, SLOT]
    rows = zip(*(alike[name].tolist() for name in names), total_ns.tolist(), strict=True)
    for rank, step, start, end, state, kind, cause, slot, total in rows:
        stage, micro_batch, operation = _work(labels, rank, slot, cause)
        waited_for = cause_of(state, kind, cause, slot)
        held = HeldUp(numbers.get(rank, -1), state, stage, micro_batch, operation, waited_for)
        yield held, total, LongestBubble(rank, step, start - int(begin[step]), end - start)


def _alike(regions: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Of regions that are alike but for when they are, the longest, and how long all are."""
    number, _ = numbered([regions[name] for name in (RANK, STATE, CAUSE_KIND, CAUSE, SLOT)])
    length = (regions[END] - regions[START]).to_numpy(np.int64)
    order = np.lexsort((-length, number))  # stable: of equally long ones the first
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    if not len(first):
        return regions, length
    longest = order[first]
    in_order = np.argsort(longest)
    total = np.add.reduceat(length[order], first)
    return regions.iloc[longest[in_order]], total[in_order]


def _work(labels: Labels, rank: int, slot: str, cause: str) -> tuple[int, int, str]:
    """Stage, micro-batch and operation of the action that was held up.

    Of a pair that of the direction that was waited for, the forward where that is not known.
    """
    actions = (read_slot(slot) if slot else None) or ()
    if not actions:
        return -1, -1, ""
    made = (read_slot(cause) if cause else None) or ()
    ways = {action.direction for action in made}
    action = next((one for one in actions if one.direction in ways), actions[0])
    stage = labels.stage(rank, action.direction)
    number = labels.micro_batch(action.direction, action.micro_batch)
    return stage, number, _OPERATIONS.get(action.operation.value, action.operation.value)


_OPERATIONS = {"I": "B"}
"""What a schedule that splits the backward calls its first part is a backward elsewhere."""
