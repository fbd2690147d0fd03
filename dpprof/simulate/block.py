"""Columns of simulated events as integers, and the texts that their codes stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.schedules.components import Component, Lane
from dpprof.simulate.timing import OPERATIONS
from dpprof.tables.kinds import COMPUTE

Integers = npt.NDArray[np.int64]

P2P = "p2p"
SEND, RECEIVE = "send", "recv"

PARTS = ("", "F", "I", "W")
COMPONENTS = ("", *(component.value for component in Component))
KINDS = (COMPUTE, P2P, Component.DISPATCH.value, Component.COMBINE.value)
NAMES = (
    *OPERATIONS,
    *(f"{component.value}({part})" for component in Component for part in PARTS[1:]),
    SEND,
    RECEIVE,
)


class EventBlock(NamedTuple):
    """Columns of one length; `lane` to `component` and `group` hold positions of texts."""

    slot: Integers  # row of the slot in `SlotColumns`: the slot of the component or the producer
    rank: Integers
    start: Integers
    end: Integers
    stage: Integers
    direction: Integers
    micro_batch: Integers
    lane: Integers  # in `lane_names`
    kind: Integers  # in `KINDS`
    name: Integers  # in `NAMES`
    part: Integers  # in `PARTS`
    component: Integers  # in `COMPONENTS`
    layer: Integers
    group: Integers  # in the names of `message_events.number_edges`
    peer: Integers
    bytes: Integers
    sequence: Integers


def join_blocks(blocks: Iterable[EventBlock]) -> EventBlock:
    """All rows of all blocks, by rank and start."""
    joined = EventBlock(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    order = np.lexsort((joined.start, joined.rank))
    return EventBlock(*(values[order] for values in joined))


def category(codes: npt.NDArray[np.integer], categories: Sequence[str]) -> pd.Series:
    """A text column from positions in `categories`."""
    return pd.Series(
        pd.Categorical.from_codes(codes.astype(np.int32), categories=pd.Index(categories))
    )


def lane_names(pp: int) -> tuple[str, ...]:
    """The lanes of a rank: see `send_lane` and `receive_lane`."""
    sends = (f"{SEND} >{rank}" for rank in range(pp))
    receives = (f"{RECEIVE} <{rank}" for rank in range(pp))
    return (Lane.COMPUTE.value, Lane.COMMUNICATION.value, *sends, *receives)


def send_lane(target: Integers) -> Integers:
    """Positions in `lane_names` of the lanes that send to `target`."""
    return 2 + target


def receive_lane(source: Integers, pp: int) -> Integers:
    """Positions in `lane_names` of the lanes that receive from `source`."""
    return 2 + pp + source


def of_member(
    values: npt.NDArray[np.int32], row: npt.NDArray[np.integer], member: Integers
) -> Integers:
    """The value of one action of each slot, ``values[row, member]``; -1 for a whole pair."""
    return np.where(member < 0, -1, values[row, np.maximum(member, 0)]).astype(np.int64)
