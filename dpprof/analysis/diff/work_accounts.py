"""Where the time of each rank went, work by work: the accounts that a diff compares.

Every instant of a step window belongs to one state (`dpprof.analysis.accounting.timeline`), and
within it to one activity, the one of the kind under way that began first. Adding up over activities
of the same work, kernel or cause therefore gives the states again, to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.accounting.account import Accounting, account_with
from dpprof.analysis.accounting.bubble_regions import Regions
from dpprof.analysis.accounting.timeline import Timeline
from dpprof.analysis.diff.parts import add_up
from dpprof.analysis.diff.work_labels import BACKWARD_OF_PAIR, ROW_LABELS, WORK_LABELS, Labels
from dpprof.analysis.events.rank_activity import Activity
from dpprof.runs.run import Run
from dpprof.tables.columns import (
    CAUSE,
    CAUSE_KIND,
    CAUSE_RANK,
    KIND,
    NAME,
    RANK,
    SLOT,
    STAGE,
    STATE,
    STEP,
)
from dpprof.tables.intervals import Intervals, index_at
from dpprof.tables.kinds import COMPUTE, COMPUTE_ONLY, FUSED, KINDS, MEMORY, OVERLAP, STATES

TOTAL = "total_ns"
HIDDEN = "hidden_ns"
OWN = "own_ns"
CALLS = "calls"
TIMES = [TOTAL, HIDDEN, OWN]
_VALUES = [*TIMES, CALLS]

WORK = [RANK, KIND, *WORK_LABELS, *BACKWARD_OF_PAIR]
KERNELS = [RANK, KIND, NAME]
BUBBLES = [RANK, STATE, CAUSE_KIND, CAUSE, CAUSE_RANK, SLOT]
SLOTS_OF = [RANK, *WORK_LABELS[:3], SLOT]

_OVERLAP = STATES.index(OVERLAP)
_FUSED, _FUSED_KIND = STATES.index(FUSED), KINDS.index(FUSED)
_STATE_OF = [
    STATES.index({COMPUTE: COMPUTE_ONLY, MEMORY: MEMORY, FUSED: FUSED}.get(kind, f"exposed.{kind}"))
    for kind in KINDS
]
"""The state of an activity of each of `KINDS` while it decides the state."""


@dataclass(frozen=True)
class Cells:
    """The accounts of a run over its used steps.

    `states` has a row per rank and step with a column per state. `work` (key `WORK`), and
    `kernels` (key `KERNELS`) have a row per rank and piece of work or kernel: ``total_ns`` in
    which it is the first of its kind under way and no fused kernel is, of it ``hidden_ns``
    computing with a transfer under way, and ``own_ns`` in the state of its kind; and its ``calls``.
    `bubbles` (key `BUBBLES`) has ``own_ns``. `slots` (columns `SLOTS_OF`) says in which slots work
    was computed. `stage_count` is that of the schedule, or of the stages that are named where it is
    not known.
    """

    states: pd.DataFrame
    work: pd.DataFrame
    kernels: pd.DataFrame
    bubbles: pd.DataFrame
    slots: pd.DataFrame
    stage_count: int


def account_with_cells(run: Run) -> tuple[Accounting, Cells]:
    """The accounts of a run that has ranks and steps with activity, and those of its work.

    Never holds the events of more than one rank per core.
    """
    accounting, of_ranks = account_with(run, _WorkOfRanks(run, Labels.of(run)))
    return accounting, _joined(of_ranks)


def _joined(many: Sequence[Cells]) -> Cells:
    def every(table: Callable[[Cells], pd.DataFrame]) -> pd.DataFrame:
        return pd.concat([table(one) for one in many], ignore_index=True)

    return Cells(
        every(lambda one: one.states),
        every(lambda one: one.work),
        every(lambda one: one.kernels),
        every(lambda one: one.bubbles),
        every(lambda one: one.slots),
        max(one.stage_count for one in many),
    )


@dataclass(frozen=True)
class _WorkOfRanks:
    """Makes the accounts of the work of each rank, while its events are at hand."""

    run: Run
    labels: Labels

    def pieces(self, activity: Activity) -> Intervals:
        """Where one activity of a kind takes over from another."""
        owned = [pieces for pieces, _ in activity.first_come]
        return Intervals(
            np.concatenate([one.starts for one in owned]),
            np.concatenate([one.ends for one in owned]),
        )

    def of_step(
        self, activity: Activity, events: pd.DataFrame, timeline: Timeline, regions: Regions
    ) -> _StepAccount:
        """The rows of one step with their times."""
        found = _times(timeline, activity.first_come, len(events))
        times: dict[str, Any] = dict(zip(TIMES, found, strict=True))
        return _StepAccount(
            activity.step,
            timeline.states_ns(),
            events[ROW_LABELS].assign(**times, **{CALLS: activity.rows.begins.astype(np.int64)}),
            _bubbles(regions),
        )

    def of_rank(self, rank: int, steps: Sequence[_StepAccount]) -> Cells:
        """All used steps of a rank."""
        states = np.array([one.states for one in steps], dtype=np.int64).reshape(-1, len(STATES))
        rows = add_up(pd.concat([one.rows for one in steps]), ROW_LABELS, _VALUES)
        bubbles = pd.concat([one.bubbles for one in steps])
        work = self.labels.of_rows(rows, rank).assign(**{RANK: rank})
        places: dict[str, Any] = {
            RANK: rank,
            STEP: np.array([one.step for one in steps], dtype=np.int64),
        }
        computing = work[(work[KIND] == COMPUTE) & (work[SLOT] != "")]
        return Cells(
            states=pd.DataFrame(states, columns=pd.Index(STATES)).assign(**places),
            work=add_up(work, WORK, _VALUES),
            kernels=add_up(rows.assign(**{RANK: rank}), KERNELS, _VALUES),
            bubbles=add_up(bubbles.assign(**{RANK: rank}), BUBBLES, [OWN]),
            slots=computing[SLOTS_OF].drop_duplicates(),
            stage_count=self._stage_count(work),
        )

    def _stage_count(self, work: pd.DataFrame) -> int:
        if self.run.schedule is not None:
            return self.run.schedule.placement.stage_count
        return int(work[STAGE].max()) + 1 if len(work) else 0


@dataclass(frozen=True)
class _StepAccount:
    """One rank in one step: a row per event, and a row per bubble region."""

    step: int
    states: npt.NDArray[np.int64]
    rows: pd.DataFrame
    bubbles: pd.DataFrame


def _times(
    timeline: Timeline, owners: Sequence[tuple[Intervals, npt.NDArray[np.intp]]], count: int
) -> npt.NDArray[np.int64]:
    """Total, hidden and own time of each of `count` rows; shape (3, count)."""
    times = np.zeros((3, count), dtype=np.int64)
    lengths, codes = timeline.lengths, timeline.codes
    for code, (pieces, row) in enumerate(owners):
        if not len(row):
            continue
        piece = index_at(pieces, timeline.edges[:-1])
        inside = piece >= 0
        owner, length, state = row[piece[inside]], lengths[inside], codes[inside]
        beside_fused = (state == _FUSED) & (code != _FUSED_KIND)
        np.add.at(times[0], owner, np.where(beside_fused, 0, length))
        np.add.at(times[1], owner, np.where(state == _OVERLAP, length, 0))
        np.add.at(times[2], owner, np.where(state == _STATE_OF[code], length, 0))
    return times


def _bubbles(regions: Regions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            STATE: [STATES[code] for code in regions.codes.tolist()],
            CAUSE_KIND: regions.causes.kinds,
            CAUSE: regions.causes.names,
            CAUSE_RANK: regions.causes.ranks,
            SLOT: np.asarray(regions.slots, dtype=object),
            OWN: regions.ends - regions.starts,
        }
    )
