"""Bubble regions: every maximal interval that a rank spent in one bubble state, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.accounting.idle_causes import Claims
from dpprof.analysis.accounting.slot_dependencies import NO_NEEDS, Needs
from dpprof.analysis.accounting.timeline import FIRST_BUBBLE, Timeline
from dpprof.analysis.events.rank_activity import Activity
from dpprof.tables.columns import (
    CAUSE,
    CAUSE_RANK,
    END,
    PHASE,
    RANK,
    REGIONS,
    SLOT,
    START,
    STATE,
    STEP,
    empty_table,
    make_table,
)
from dpprof.tables.kinds import BUBBLE_COOLDOWN, BUBBLE_WARMUP, STATES

_PHASES = {BUBBLE_WARMUP: "warmup", BUBBLE_COOLDOWN: "cooldown"}
STEADY = "steady"


@dataclass(frozen=True)
class Regions:
    """The bubble regions of one rank in one step, in order of time, one array per column.

    Their lengths add up to the bubble states of the rank's timeline exactly.
    """

    rank: int
    step: int
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]  # positions in STATES
    cause_ranks: list[int]
    causes: list[str]
    slots: list[str]


def bubble_regions(
    activity: Activity, timeline: Timeline, claims: Sequence[Claims], needs: Needs | None
) -> Regions:
    """Join the idle segments of a timeline to maximal intervals of one bubble state.

    Where a region has several causes (it waited first for one message, then for another) the one
    that took longest is named.
    """
    segments = np.flatnonzero(timeline.codes >= FIRST_BUBBLE)
    codes = timeline.codes[segments]
    opens = np.ones(len(segments), dtype=bool)
    opens[1:] = (np.diff(segments) > 1) | (np.diff(codes) != 0)
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(segments))[: len(first)] - 1
    starts = timeline.edges[segments[first]]
    longest = _longest_claim(timeline, segments, np.cumsum(opens) - 1)
    ranks, causes = _explained(timeline, claims, longest)
    return Regions(
        rank=activity.rank,
        step=activity.step,
        starts=starts,
        ends=timeline.edges[segments[last] + 1],
        codes=codes[first],
        cause_ranks=ranks,
        causes=causes,
        slots=_held_up(NO_NEEDS if needs is None else needs, starts),
    )


class LeftOut(NamedTuple):
    """Regions that are not listed: how many, and how long they are together."""

    regions: int
    total_ns: int


def longest_regions(regions: Regions, most: int) -> tuple[Regions, LeftOut]:
    """At most so many regions, the longest, still in order of time; and what that leaves out."""
    count = len(regions.starts)
    if count <= most:
        return regions, LeftOut(0, 0)
    lengths = regions.ends - regions.starts
    by_length = np.argsort(-lengths, kind="stable")
    kept = np.sort(by_length[:most])
    shorter = replace(
        regions,
        starts=regions.starts[kept],
        ends=regions.ends[kept],
        codes=regions.codes[kept],
        cause_ranks=[regions.cause_ranks[i] for i in kept],
        causes=[regions.causes[i] for i in kept],
        slots=[regions.slots[i] for i in kept],
    )
    return shorter, LeftOut(count - most, int(lengths[by_length[most:]].sum()))


def regions_table(many: Sequence[Regions]) -> pd.DataFrame:
    """The regions of all ranks and steps as one table (columns `REGIONS`), in the given order."""
    counts = [len(one.starts) for one in many]
    if not sum(counts):
        return empty_table(REGIONS)
    states = [STATES[code] for one in many for code in one.codes.tolist()]
    return make_table(
        REGIONS,
        {
            RANK: np.repeat([one.rank for one in many], counts),
            STEP: np.repeat([one.step for one in many], counts),
            START: np.concatenate([one.starts for one in many]),
            END: np.concatenate([one.ends for one in many]),
            STATE: states,
            PHASE: [_PHASES.get(state, STEADY) for state in states],
            CAUSE_RANK: [rank for one in many for rank in one.cause_ranks],
            CAUSE: [cause for one in many for cause in one.causes],
            SLOT: [slot for one in many for slot in one.slots],
        },
    )


def _longest_claim(
    timeline: Timeline, segments: npt.NDArray[np.intp], region: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """For each region one segment of the claim that explains the most of it."""
    if not len(segments):
        return segments
    claim, piece = timeline.claims[segments], timeline.pieces[segments]
    order = np.lexsort((segments, piece, claim, region))
    keys = np.stack([region[order], claim[order], piece[order]])
    first = np.flatnonzero(np.append(True, (np.diff(keys) != 0).any(axis=0)))
    lengths = np.add.reduceat(timeline.lengths[segments][order], first)
    owner = region[order][first]
    by_length = np.lexsort((lengths, owner))
    longest = by_length[np.append(np.diff(owner[by_length]) != 0, True)]
    chosen: npt.NDArray[np.intp] = segments[order][first[longest]]
    return chosen


def _explained(
    timeline: Timeline, claims: Sequence[Claims], segments: npt.NDArray[np.intp]
) -> tuple[list[int], list[str]]:
    claim, piece = timeline.claims[segments], timeline.pieces[segments]
    ranks = np.full(len(segments), -1, dtype=np.int64)
    causes = np.full(len(segments), "", dtype=object)
    for number, one in enumerate(claims):
        rows = np.flatnonzero(claim == number)
        ranks[rows] = np.asarray(one.ranks)[piece[rows]]
        causes[rows] = np.asarray(one.causes, dtype=object)[piece[rows]]
    return ranks.tolist(), causes.tolist()


def _held_up(needs: Needs, instants: npt.NDArray[np.int64]) -> list[str]:
    """The slot that was running or came next at each instant; empty where there is none."""
    reach = np.maximum.accumulate(needs.ends) if len(needs.ends) else needs.ends
    index = np.searchsorted(reach, instants, side="right")
    return [str(needs.texts[i]) if i < len(needs.texts) else "" for i in index.tolist()]
