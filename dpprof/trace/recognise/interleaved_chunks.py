"""Tells the chunks of an interleaved pipeline apart where annotations only count forwards.

Megatron's training loop names neither chunk nor micro-batch. Its interleaved order takes PP
micro-batches on each chunk in turn, after a warm-up whose length says how many chunks there are:
on the last rank it is a round of all chunks but one.
Source: Megatron-LM, ``forward_backward_pipelining_with_interleaving``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pandas as pd

from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import parse_action, slot_text
from dpprof.schedules.interleaved_1f1b import interleaved_slots
from dpprof.tables.columns import DIRECTION, MICRO_BATCH, SLOT, STAGE
from dpprof.trace.rank.rank_part import RankPart
from dpprof.trace.recognise.observed_schedule import Orders

Names = Mapping[str, str]
"""Slot as counted -> slot with its chunk and micro-batch."""


def chunk_names(places: Sequence[RankPlace], orders: Orders) -> dict[int, Names] | None:
    """Rank -> names of its slots; None where the order is not that of an interleaved pipeline."""
    pp = 1 + max(place.pp_rank for place in places)
    last = next((place.rank for place in places if place.pp_rank == pp - 1), None)
    if last is None or any(place.stages for place in places):
        return None
    order = orders[last][0]
    ahead = next((i for i, slot in enumerate(order) if slot[0] != "F"), len(order)) - 1
    forwards = sum(slot[0] == "F" for slot in order)
    chunks, uneven = divmod(ahead, pp)
    chunks += 1
    if pp < 2 or chunks < 2 or uneven or forwards % (chunks * pp):
        return None
    found: dict[int, Names] = {}
    for place in places:
        turns = [*map(slot_text, interleaved_slots(place.pp_rank, pp, forwards // chunks, chunks))]
        if any(step != tuple(_counted(turns)) for step in orders[place.rank]):
            return None
        found[place.rank] = dict(zip(_counted(turns), turns, strict=True))
    return found


def _counted(turns: Iterable[str]) -> list[str]:
    """The slots as they are where only their operations are counted: ``F0.0 F0.1 B0.0``."""
    count: Counter[str] = Counter()
    names = []
    for slot in turns:
        names.append(f"{slot[0]}0.{count[slot[0]]}")
        count[slot[0]] += 1
    return names


def with_chunks(
    parts: Sequence[RankPart], places: Sequence[RankPlace], names: Mapping[int, Names]
) -> tuple[list[RankPart], tuple[RankPlace, ...]]:
    """The parts with their slots renamed, and the places with the stages of their chunks."""
    pp = 1 + max(place.pp_rank for place in places)
    stages = {}
    for place in places:
        chunks = 1 + max(parse_action(name).direction for name in names[place.rank].values())
        stages[place.rank] = [chunk * pp + place.pp_rank for chunk in range(chunks)]
    renamed = []
    for part in parts:
        rename = _Renamed(part.load, names[part.rank], tuple(stages[part.rank]))
        slots = part.slots.assign(
            **{SLOT: part.slots[SLOT].astype(object).replace(dict(rename.names)).astype("category")}
        )
        communications = rename.of(part.communications)
        renamed.append(replace(part, slots=slots, communications=communications, load=rename))
    placed = tuple(msgspec.structs.replace(place, stages=stages[place.rank]) for place in places)
    return renamed, placed


@dataclass(frozen=True)
class _Renamed:
    """Loads a rank's events with its slots renamed; can be passed to another process."""

    load: Callable[[], pd.DataFrame]
    names: Names
    stages: tuple[int, ...]

    def __call__(self) -> pd.DataFrame:
        return self.of(self.load())

    def of(self, events: pd.DataFrame) -> pd.DataFrame:
        """These events, renamed: slot, direction (the chunk), micro-batch and stage."""
        slots = events[SLOT].cat
        texts = [self.names.get(str(text), str(text)) for text in slots.categories]
        codes, unique = pd.factorize(np.array(texts, dtype=object))
        actions = [
            parse_action(self.names[text]) if text in self.names else None
            for text in map(str, slots.categories)
        ]
        known = np.array([action is not None for action in actions] + [False])[slots.codes]

        def column(name: str, values: list[int]) -> object:
            return np.where(known, np.array([*values, -1])[slots.codes], events[name])

        chunk = [-1 if one is None else one.direction for one in actions]
        number = [-1 if one is None else one.micro_batch for one in actions]
        stage = [-1 if one is None else self.stages[one.direction] for one in actions]
        found = {DIRECTION: column(DIRECTION, chunk), STAGE: column(STAGE, stage)}
        found[MICRO_BATCH] = column(MICRO_BATCH, number)
        coded = pd.Categorical.from_codes(
            np.append(codes, -1)[slots.codes], pd.Index(unique, dtype="str")
        )
        typed = {
            name: pd.Series(value, index=events.index, dtype="int32")
            for name, value in found.items()
        }
        return events.assign(**typed, **{SLOT: coded})
