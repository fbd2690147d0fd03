"""Whom a communication waits for: the peer of a message, the last to join a collective."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.pipeline_messages import P2P
from dpprof.tables.blocks import row_blocks
from dpprof.tables.columns import GROUP, KIND, PEER, RANK, READY, SEQUENCE, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS


def cause_ranks(events: pd.DataFrame, kinds: npt.NDArray[np.object_]) -> npt.NDArray[np.int32]:
    """For each event the rank that it may wait for, or -1 where there is none or none is known.

    `kinds` is the kind of each event, as text.
    A collective (same step, kind, group and sequence number on several ranks) waits for the
    participant that started last; that one waits for nobody.
    """
    result = np.full(len(events), -1, dtype=np.int32)
    message = kinds == P2P
    result[message] = events[PEER].to_numpy(np.int32)[message]
    matched = (events[READY].to_numpy(np.int64) >= 0) & (events[SEQUENCE].to_numpy(np.int64) >= 0)
    collective = np.isin(kinds, COMMUNICATION_KINDS[1:]) & matched
    rows = np.flatnonzero(collective)
    for own in row_blocks(events[GROUP].iloc[rows]) if len(rows) else ():
        part = events[[*_OPERATION, START, RANK]].iloc[rows[own]]
        result[rows[own]] = _last_to_start(part)
    return result


_OPERATION = [STEP, KIND, GROUP, SEQUENCE, READY]
"""The same name may stand for several groups; rows of one operation share READY."""


def _last_to_start(collectives: pd.DataFrame) -> npt.NDArray[np.int32]:
    keys = collectives.groupby(_OPERATION, observed=True, sort=False).ngroup().to_numpy()
    starts = collectives[START].to_numpy(np.int64)
    ranks = collectives[RANK].to_numpy(np.int32)
    order = np.lexsort((starts, keys))
    last_of_key = np.append(np.flatnonzero(np.diff(keys[order])), len(order) - 1)
    straggler = np.empty(int(keys.max()) + 1, dtype=np.int32)
    straggler[keys[order][last_of_key]] = ranks[order][last_of_key]
    chosen = straggler[keys]
    return np.where(chosen == ranks, -1, chosen).astype(np.int32)
