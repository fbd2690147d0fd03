"""What idle ranks waited for, in terms that compare across schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dpprof.analysis.diff.model import BubbleCause
from dpprof.analysis.diff.work_accounts import OWN, Cells
from dpprof.analysis.diff.work_labels import Labels
from dpprof.analysis.diff.work_rows import BASE, NEW
from dpprof.analysis.events.causes import COLLECTIVE, INPUT, RECEIVER
from dpprof.analysis.events.slot_names import read_slot
from dpprof.schedules.actions import slot_operation
from dpprof.tables.columns import CAUSE, CAUSE_KIND, CAUSE_RANK, RANK, SLOT, STAGE, STATE
from dpprof.tables.kinds import BUBBLE_COOLDOWN, BUBBLE_HOST, BUBBLE_WARMUP

_NOTHING = {
    BUBBLE_WARMUP: BubbleCause(kind="start_of_step"),
    BUBBLE_COOLDOWN: BubbleCause(kind="end_of_step"),
}
_NOT_KNOWN = BubbleCause(kind="not_known")


def bubbles_beside(
    base: Cells, new: Cells, labels: tuple[Labels, Labels], pairs: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Bubbles of both sides: `RANK` (NEW's), STAGE, STATE, CAUSE, CAUSE_RANK (NEW's), times.

    `CAUSE` is a `BubbleCause` without rank. `STAGE` is that of the slot that could not start, -1
    where there is none. Without `pairs` no rank of BASE has a counterpart: RANK is 0 and CAUSE_RANK
    -1.
    """
    number = dict(pairs)
    sides = [
        _facts(base.bubbles, labels[0], number),
        _facts(new.bubbles, labels[1], {rank: rank for _, rank in pairs}),
    ]
    zero = [{NEW: 0}, {BASE: 0}]
    return pd.concat(
        [
            side.rename(columns={OWN: name}).assign(**other)
            for side, name, other in zip(sides, (BASE, NEW), zero, strict=True)
        ],
        ignore_index=True,
    )


def _facts(bubbles: pd.DataFrame, labels: Labels, number: Mapping[int, int]) -> pd.DataFrame:
    columns = (bubbles[name].tolist() for name in (RANK, STATE, CAUSE_KIND, CAUSE, SLOT))
    fields = list(zip(*columns, strict=True))
    return pd.DataFrame(
        {
            RANK: [number.get(rank, 0) for rank, *_ in fields],
            STAGE: [
                _stage(labels, rank, state, (slot, cause)) for rank, state, _, cause, slot in fields
            ],
            STATE: bubbles[STATE],
            CAUSE: [cause_of(*texts) for _, *texts in fields],
            CAUSE_RANK: [number.get(rank, -1) for rank in bubbles[CAUSE_RANK].tolist()],
            OWN: bubbles[OWN],
        }
    )


def cause_of(state: str, kind: str, cause: str, slot: str) -> BubbleCause:
    """The operation, collective or launch that ended a bubble; the same for every chunk."""
    if state == BUBBLE_HOST:
        held_up = read_slot(slot) if slot else None
        return BubbleCause(kind="launch", operation=slot_operation(held_up) if held_up else None)
    if not cause:
        return _NOTHING.get(state, _NOT_KNOWN)
    if kind == COLLECTIVE:
        return BubbleCause(kind="collective", operation=cause)
    made = read_slot(cause) if kind in (INPUT, RECEIVER) else None
    if made is None:
        return BubbleCause(kind="launch")
    operation = slot_operation(made)
    if kind == RECEIVER:
        return BubbleCause(kind="receiver", operation=operation)
    return BubbleCause(kind="input", operation=operation)


def _stage(labels: Labels, rank: int, state: str, texts: tuple[str, str]) -> int:
    """The stage of the slot that was held up; of a pair that of the action that had to wait.

    `texts` are slot and cause. After a rank's last computation no slot is held up.
    """
    slot, cause = texts
    actions = (read_slot(slot) if slot and state != BUBBLE_COOLDOWN else None) or ()
    made = (read_slot(cause) if cause else None) or ()
    ways = {action.direction for action in made}
    held_up = [action for action in actions if action.direction in ways] or actions
    return labels.stage(rank, held_up[0].direction) if held_up else -1
