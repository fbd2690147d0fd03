"""Pipeline messages in the events table: which way they go and which action made them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.slot_names import read_slot
from dpprof.schedules.actions import Operation
from dpprof.tables.columns import (
    DIRECTION,
    GROUP,
    KIND,
    MICRO_BATCH,
    OPERATION,
    PART,
    RANK,
    READY,
    START,
    STEP,
)
from dpprof.tables.edges import edge_of, is_posted
from dpprof.tables.kinds import COMMUNICATION_KINDS

P2P = COMMUNICATION_KINDS[0]


def texts(column: pd.Series[str]) -> npt.NDArray[np.object_]:
    """A text column as an array of str that share their values."""
    codes, values = pd.factorize(column)
    return np.append(np.asarray(values.astype(str), dtype=object), "")[codes]


def sends(messages: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each message row is its sender's, by the edge ``"0>1"`` in its group.

    Where the edge is not known a row counts as a receive: it may be one.
    """
    codes, groups = pd.factorize(messages[GROUP])
    edges = [edge_of(str(group)) for group in groups]
    senders = [-1 if edge is None else edge[0] for edge in edges]
    sender = np.array([*senders, -1], dtype=np.int64)[codes]
    ranks = messages[RANK].to_numpy(np.int64)
    own: npt.NDArray[np.bool_] = (sender >= 0) & (sender == ranks)
    return own


def positions(column: pd.Series[str], among: Sequence[str]) -> npt.NDArray[np.int64]:
    """The position of each text of a column in a sequence; -1 where it is not there."""
    codes, values = pd.factorize(column)
    found = {text: number for number, text in enumerate(among)}
    return np.array([*(found.get(str(text), -1) for text in values), -1], dtype=np.int64)[codes]


def posted(names: pd.Series[str]) -> npt.NDArray[np.bool_]:
    """Whether names are those of spans from a message's call to the end of the wait for it."""
    codes, values = pd.factorize(names)
    return np.array([*(is_posted(str(name)) for name in values), False], dtype=bool)[codes]


def producing_actions(messages: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The action that made each message, ``"F0.3"``; empty where the row does not say."""
    fields = zip(
        texts(messages[PART]),
        texts(messages[OPERATION]),
        messages[DIRECTION].tolist(),
        messages[MICRO_BATCH].tolist(),
        strict=True,
    )
    result = np.empty(len(messages), dtype=object)
    result[:] = [_action_text(*field) for field in fields]
    return result


def _action_text(part: str, operation: str, direction: int, micro_batch: int) -> str:
    if direction < 0 or micro_batch < 0 or not (part or operation):
        return ""
    backward = operation if operation in ("B", "I", "W") else "B"
    letter = "F" if "F" in (part, operation) else backward
    return f"{letter}{direction}.{micro_batch}"


@lru_cache(maxsize=1 << 16)
def message_name(action: str) -> str:
    """The action as all traces can name it: what I makes is called the output of B."""
    slot = read_slot(action)
    if slot is None or slot[0].operation is not Operation.INPUT_GRADIENT:
        return action
    return str(slot[0]._replace(operation=Operation.BACKWARD))


def received_ns(events: pd.DataFrame) -> dict[tuple[int, int, str], int]:
    """(rank, step, `message_name`) -> when the sender joined a receive that waited for it.

    Receives that did not wait are left out: their own rank came last.
    """
    messages = events[(events[KIND] == P2P) & (events[READY] > events[START])]
    messages = messages[~sends(messages)]
    keys = zip(
        messages[RANK].tolist(),
        messages[STEP].tolist(),
        map(message_name, producing_actions(messages)),
        strict=True,
    )
    return dict(zip(keys, messages[READY].tolist(), strict=True))
