"""What idle ranks waited for, in words that compare across schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dpprof.analysis.diff.change_trees import WAITED_FOR
from dpprof.analysis.diff.part_names import END_OF_STEP, LAUNCH, NOT_KNOWN, START_OF_STEP
from dpprof.analysis.diff.work_accounts import OWN, Cells
from dpprof.analysis.diff.work_labels import Labels
from dpprof.analysis.diff.work_rows import BASE, NEW
from dpprof.analysis.events.slot_names import read_slot
from dpprof.schedules.actions import slot_operation
from dpprof.tables.columns import CAUSE, CAUSE_RANK, RANK, SLOT, STAGE, STATE
from dpprof.tables.devices import rank_name
from dpprof.tables.kinds import BUBBLE_COOLDOWN, BUBBLE_HOST, BUBBLE_STRAGGLER, BUBBLE_WARMUP

_NO_CAUSE = {BUBBLE_WARMUP: START_OF_STEP, BUBBLE_COOLDOWN: END_OF_STEP}
_RECEIVING = "receiving "


def bubbles_beside(
    base: Cells, new: Cells, labels: tuple[Labels, Labels], pairs: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Bubbles of both sides: `RANK` (NEW's), STAGE, STATE, CAUSE_RANK (NEW's), WAITED_FOR, times.

    `STAGE` is that of the slot that could not start, -1 where there is none. Without `pairs` no
    rank of BASE has a counterpart: RANK is 0 and CAUSE_RANK -1.
    """
    number = dict(pairs)
    sides = [
        _words(base.bubbles, labels[0], number),
        _words(new.bubbles, labels[1], {rank: rank for _, rank in pairs}),
    ]
    zero = [{NEW: 0}, {BASE: 0}]
    return pd.concat(
        [
            side.rename(columns={OWN: name}).assign(**other)
            for side, name, other in zip(sides, (BASE, NEW), zero, strict=True)
        ],
        ignore_index=True,
    )


def _words(bubbles: pd.DataFrame, labels: Labels, number: Mapping[int, int]) -> pd.DataFrame:
    columns = (bubbles[name].tolist() for name in (RANK, STATE, CAUSE, SLOT))
    fields = list(zip(*columns, strict=True))
    return pd.DataFrame(
        {
            RANK: [number.get(rank, 0) for rank, _, _, _ in fields],
            STAGE: [
                _stage(labels, rank, state, (slot, cause)) for rank, state, cause, slot in fields
            ],
            STATE: bubbles[STATE],
            CAUSE_RANK: [number.get(rank, -1) for rank in bubbles[CAUSE_RANK].tolist()],
            WAITED_FOR: [waited_for(state, cause, slot) for _, state, cause, slot in fields],
            OWN: bubbles[OWN],
        }
    )


def waited_for(state: str, cause: str, slot: str) -> str:
    """The operation, collective or launch that ended a bubble; the same words for every chunk."""
    if state == BUBBLE_HOST:
        held_up = read_slot(slot) if slot else None
        return f"{LAUNCH} in {slot_operation(held_up)}" if held_up else LAUNCH
    if state == BUBBLE_STRAGGLER:
        return cause or NOT_KNOWN
    receiving = cause.startswith(_RECEIVING)
    made = read_slot(cause.removeprefix(_RECEIVING)) if cause else None
    if made is None:
        return LAUNCH if cause else _NO_CAUSE.get(state, NOT_KNOWN)
    return f"{_RECEIVING if receiving else ''}{slot_operation(made)}"


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


def with_ranks(bubbles: pd.DataFrame) -> pd.DataFrame:
    """The same with the rank that was waited for in the words."""
    fields = zip(bubbles[CAUSE_RANK].tolist(), bubbles[WAITED_FOR].tolist(), strict=True)
    words = [f"{rank_name(rank)}: {waited}" if rank >= 0 else waited for rank, waited in fields]
    return bubbles.assign(**{WAITED_FOR: np.array(words, dtype=object)})
