"""Bubble regions: every maximal interval that a rank spent in one bubble state, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.accounting.slot_dependencies import NO_NEEDS, Needs
from dpprof.analysis.accounting.timeline import FIRST_BUBBLE, Timeline
from dpprof.analysis.events.causes import Causes, Claims, causes_of
from dpprof.analysis.events.rank_activity import Activity
from dpprof.analysis.observations import RegionFigures
from dpprof.tables.columns import (
    CAUSE,
    CAUSE_GROUP,
    CAUSE_KIND,
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
    causes: Causes
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
    return Regions(
        rank=activity.rank,
        step=activity.step,
        starts=starts,
        ends=timeline.edges[segments[last] + 1],
        codes=codes[first],
        causes=_explained(timeline, claims, longest),
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
        causes=regions.causes[kept],
        slots=[regions.slots[i] for i in kept],
    )
    return shorter, LeftOut(count - most, int(lengths[by_length[most:]].sum()))


def regions_table(many: Sequence[Regions]) -> pd.DataFrame:
    """The regions of all ranks and steps as one table (columns `REGIONS`), in the given order."""
    counts = [len(one.starts) for one in many]
    if not sum(counts):
        return empty_table(REGIONS)
    codes = np.concatenate([one.codes for one in many])
    return make_table(
        REGIONS,
        {
            RANK: np.repeat([one.rank for one in many], counts),
            STEP: np.repeat([one.step for one in many], counts),
            START: np.concatenate([one.starts for one in many]),
            END: np.concatenate([one.ends for one in many]),
            STATE: np.array(STATES, object)[codes],
            PHASE: np.array([_PHASES.get(state, STEADY) for state in STATES], object)[codes],
            CAUSE_KIND: np.concatenate([one.causes.kinds for one in many]),
            CAUSE: np.concatenate([one.causes.names for one in many]),
            CAUSE_RANK: np.concatenate([one.causes.ranks for one in many]),
            CAUSE_GROUP: np.concatenate([one.causes.groups for one in many]),
            SLOT: [slot for one in many for slot in one.slots],
        },
    )


def region_figures(regions: pd.DataFrame, origins: Mapping[int, int]) -> list[RegionFigures]:
    """Rows of a table of regions as reports have them; `origins` has the start of each step."""
    names = _FIELDS
    rows = zip(*(regions[name].tolist() for name in names), strict=True)
    figures = (dict(zip(names, row, strict=True)) for row in rows)
    return [region_figure(one, origins[one[STEP]]) for one in figures]


_FIELDS = (RANK, STEP, START, END, STATE, PHASE, CAUSE_KIND, CAUSE, CAUSE_RANK, CAUSE_GROUP, SLOT)


def region_figure(row: Mapping[str, Any], origin_ns: int) -> RegionFigures:
    """One row of a table of regions as reports have it."""
    return RegionFigures(
        rank=row[RANK],
        step=row[STEP],
        start_ns=row[START],
        end_ns=row[END],
        offset_ns=row[START] - origin_ns,
        length_ns=row[END] - row[START],
        state=row[STATE],
        phase=row[PHASE],
        cause_kind=row[CAUSE_KIND] or None,
        cause=row[CAUSE] or None,
        cause_rank=None if row[CAUSE_RANK] < 0 else row[CAUSE_RANK],
        cause_group=row[CAUSE_GROUP] or None,
        slot=row[SLOT] or None,
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
) -> Causes:
    claim, piece = timeline.claims[segments], timeline.pieces[segments]
    found = causes_of("", len(segments))
    columns = [getattr(found, field.name).copy() for field in fields(found)]
    for number, one in enumerate(claims):
        rows = np.flatnonzero(claim == number)
        own = one.causes[piece[rows]]
        for column, field in zip(columns, fields(own), strict=True):
            column[rows] = getattr(own, field.name)
    return Causes(*columns)


def _held_up(needs: Needs, instants: npt.NDArray[np.int64]) -> list[str]:
    """The slot that was running or came next at each instant; empty where there is none."""
    reach = np.maximum.accumulate(needs.ends) if len(needs.ends) else needs.ends
    if not len(reach):
        return [""] * len(instants)
    texts = np.array([*map(str, needs.texts), ""], dtype=object)
    return list(texts[np.searchsorted(reach, instants, side="right")])
