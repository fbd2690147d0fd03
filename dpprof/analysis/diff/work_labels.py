"""Names for pieces of work that mean the same in every schedule: stage, micro-batch, operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.slot_names import read_slot
from dpprof.runs.run import Run
from dpprof.schedules.actions import OVERLAPPED_PAIR, Action
from dpprof.tables.columns import (
    COMPONENT,
    DIRECTION,
    KIND,
    LAYER,
    MICRO_BATCH,
    NAME,
    OPERATION,
    PART,
    SLOT,
    STAGE,
)

WORK_LABELS = [STAGE, MICRO_BATCH, OPERATION, COMPONENT, LAYER, NAME]
"""What identifies work: the label, or for what has none the kernel's NAME."""

BACKWARD_OF_PAIR = ["backward_stage", "backward_micro_batch"]
"""Of an overlapped pair that nothing takes apart; -1 for all other work."""

ROW_LABELS = [
    KIND,
    NAME,
    SLOT,
    OPERATION,
    PART,
    COMPONENT,
    STAGE,
    DIRECTION,
    MICRO_BATCH,
    LAYER,
]
"""What an event says of its work."""

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """How a run numbers stages and micro-batches.

    `stages` maps ranks to the stage of each direction; `first` is what the micro-batches of each
    direction count from: those of a second stream come after those of the first, as the two ends
    of DualPipe share out one batch.
    """

    stages: Mapping[int, tuple[int, ...]]
    first: tuple[int, ...]

    @classmethod
    def of(cls, run: Run) -> Labels:
        """From the schedule where it is known, else from what the places say of stages."""
        schedule = run.schedule
        if schedule is None:
            return cls({place.rank: tuple(place.stages) for place in run.places}, ())
        placement, each = schedule.placement, schedule.micro_batches_per_stream
        stages = {
            place.rank: placement.stages[place.pp_rank]
            for place in run.places
            if place.pp_rank < schedule.pp
        }
        return cls(stages, tuple(stream * each for stream in placement.streams))

    def stage(self, rank: int, direction: int) -> int:
        """The stage that the rank runs in a direction; -1 where it is not known."""
        own = self.stages.get(rank, ())
        return own[direction] if 0 <= direction < len(own) else -1

    def micro_batch(self, direction: int, micro_batch: int) -> int:
        """The number of a micro-batch among all of the step; -1 where it is not known."""
        if micro_batch < 0:
            return -1
        return micro_batch + (self.first[direction] if 0 <= direction < len(self.first) else 0)

    def of_rows(self, rows: pd.DataFrame, rank: int) -> pd.DataFrame:
        """The rows (columns `ROW_LABELS` and others) with labels `WORK_LABELS` in their place.

        Labelled work has no name; overlapped pairs that nothing takes apart are of the stage and
        micro-batch of their forward, and `BACKWARD_OF_PAIR` says which backward it is.
        """
        part, slot_operation = rows[PART].astype(str), rows[OPERATION].astype(str)
        operation = part.where(part != "", slot_operation)
        component = rows[COMPONENT].astype(str)
        labelled = (operation != "") | (component != "")
        columns: dict[str, Any] = {
            KIND: rows[KIND].astype(str),
            STAGE: self._stages(rows, rank),
            MICRO_BATCH: self._micro_batches(rows),
            OPERATION: operation,
            COMPONENT: component,
            NAME: rows[NAME].astype(str).where(~labelled, ""),
            SLOT: rows[SLOT].astype(str),
        }
        result = rows.drop(columns=[PART, DIRECTION]).assign(**columns)
        return result.assign(**self._pairs(result, rank))

    def _stages(self, rows: pd.DataFrame, rank: int) -> _Numbers:
        said = rows[STAGE].to_numpy(np.int64)
        own = np.array([*self.stages.get(rank, ()), -1], dtype=np.int64)
        direction = rows[DIRECTION].to_numpy(np.int64)
        known = (direction >= 0) & (direction < len(own) - 1)
        return np.where(said >= 0, said, own[np.where(known, direction, -1)])

    def _micro_batches(self, rows: pd.DataFrame) -> _Numbers:
        said, direction = rows[MICRO_BATCH].to_numpy(np.int64), rows[DIRECTION].to_numpy(np.int64)
        first = np.array([*self.first, 0], dtype=np.int64)
        known = (direction >= 0) & (direction < len(self.first))
        return np.where(said >= 0, said + first[np.where(known, direction, -1)], -1)

    def _pairs(self, rows: pd.DataFrame, rank: int) -> dict[str, Any]:
        """Stage and micro-batch of both actions of pairs that are not taken apart."""
        undivided = np.flatnonzero(rows[OPERATION] == OVERLAPPED_PAIR)
        texts = rows[SLOT].to_numpy(dtype=object)[undivided]
        pairs = {text: self._pair(rank, text) for text in dict.fromkeys(texts.tolist())}
        known = np.array([pairs[text] is not None for text in texts.tolist()], dtype=bool)
        places = np.array([pair for text in texts.tolist() if (pair := pairs[text])], np.int64)
        columns = {name: rows[name].to_numpy(np.int64, copy=True) for name in (STAGE, MICRO_BATCH)}
        columns |= {name: np.full(len(rows), -1, dtype=np.int64) for name in BACKWARD_OF_PAIR}
        for values, place in zip(columns.values(), places.reshape(-1, 4).T, strict=True):
            values[undivided[known]] = place
        return columns

    def _pair(self, rank: int, text: str) -> tuple[int, ...] | None:
        """Stage and micro-batch of forward and backward of a pair; None for other slots."""
        slot = read_slot(text)
        if slot is None or len(slot) != 2:
            return None
        forward, backward = (self._place(rank, action) for action in slot)
        return (*forward, *backward)

    def _place(self, rank: int, action: Action) -> tuple[int, int]:
        return (
            self.stage(rank, action.direction),
            self.micro_batch(action.direction, action.micro_batch),
        )
