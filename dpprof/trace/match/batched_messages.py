"""Batched messages: one kernel that sends to and receives from several ranks at once.

A batch is one event that takes part in several operations. Its group lists them with their
numbers, ``0>1#3 2>0#5``; for matching it is taken apart into one row per message, and what is
found for these is put together again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import BYTES, GROUP, PEER, RANK, READY, SEQUENCE, START
from dpprof.tables.edges import BATCH_SEPARATOR, NUMBER_MARK, edge_of

Rows = npt.NDArray[np.intp]


def taken_apart(events: pd.DataFrame) -> tuple[pd.DataFrame, Rows]:
    """The events with a row for every message of a batch, and which event each row is from."""
    codes, groups = pd.factorize(events[GROUP])
    messages = [_messages(str(group)) for group in groups]
    if not any(messages):
        return events, np.arange(len(events))
    counts = np.array([max(len(one), 1) for one in messages])[codes]
    origin = np.repeat(np.arange(len(events)), counts)
    rows = events.iloc[origin].reset_index(drop=True)
    place = np.arange(len(origin)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows[BYTES] = np.where(counts[origin] > 1, -1, rows[BYTES])  # of the whole batch
    group = np.array(rows[GROUP], dtype=object)
    sequence, batch = rows[SEQUENCE].to_numpy().copy(), codes[origin]
    for row in np.flatnonzero(np.array([bool(one) for one in messages])[batch]):
        group[row], sequence[row] = messages[batch[row]][place[row]]
    rows[GROUP], rows[SEQUENCE] = pd.Categorical(group), sequence
    return rows, origin


def _messages(group: str) -> list[tuple[str, int]]:
    if NUMBER_MARK not in group or ">" not in group:
        return []
    found = [part.rpartition(NUMBER_MARK) for part in group.split(BATCH_SEPARATOR)]
    if not all(edge and number.isdecimal() for edge, _, number in found):
        return []
    return [(edge, int(number)) for edge, _, number in found]


def put_together(
    events: pd.DataFrame, apart: pd.DataFrame, origin: Rows, ready: npt.NDArray[np.int64]
) -> pd.DataFrame:
    """`events` with READY from that of its parts; a batch gets the peer that it waited for.

    A batch is ready when the last of its messages is, and unknown if one of them is. Its group
    then lists the edges without numbers.
    """
    result = events.assign(**{READY: np.full(len(events), -1, dtype=np.int64)})
    whole = np.ones(len(events), dtype=bool)
    np.logical_and.at(whole, origin, ready >= 0)
    latest = np.full(len(events), -1, dtype=np.int64)
    np.maximum.at(latest, origin, ready)
    result[READY] = np.where(whole, latest, -1)
    batches = np.flatnonzero(np.bincount(origin, minlength=len(events)) > 1)
    if not len(batches):
        return result
    group = np.array(result[GROUP], dtype=object)
    for row in batches:
        group[row] = BATCH_SEPARATOR.join(edge for edge, _ in _messages(str(group[row])))
    peer = events[PEER].to_numpy().copy()
    waits = np.isin(origin, batches) & (ready == latest[origin]) & whole[origin]
    waits &= ready > apart[START].to_numpy()
    peer[origin[waits]] = _other_ends(apart[waits])
    result[GROUP], result[PEER] = pd.Categorical(group), peer
    return result


def _other_ends(messages: pd.DataFrame) -> npt.NDArray[np.int32]:
    ends = [edge_of(str(group)) or (-1, -1) for group in messages[GROUP]]
    one, other = np.array(ends, dtype=np.int32).reshape(-1, 2).T
    return np.where(one == messages[RANK].to_numpy(), other, one)
