"""Who sent to whom: the matched communications of a run as pairs of events."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import END, GROUP, KIND, RANK, READY, SEQUENCE, START, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS

_P2P = COMMUNICATION_KINDS[0]

Pairs = npt.NDArray[np.intp]
"""Shape (n, 2): positions of source and target in the table."""


class Arrows(NamedTuple):
    """Arrows that go forward in time; and those of `late` sends, begun when all was received."""

    sound: Pairs
    late: Pairs


def arrows(communications: pd.DataFrame) -> Arrows:
    """Source and target of every matched communication, as positions in `communications`.

    A message goes from its send to its receive. A collective goes from the participant that came
    last, for whom all others waited, to each of these. Communications that were not matched or
    hold no instant have none.
    """
    frame = communications[[STEP, GROUP, KIND, SEQUENCE, RANK, START, END, READY]].astype(
        {GROUP: str, KIND: str}
    )
    frame["row"] = np.arange(len(frame))
    frame = frame[(frame[SEQUENCE] >= 0) & (frame[GROUP] != "") & (frame[END] > frame[START])]
    is_message = frame[KIND] == _P2P
    messages, others = _messages(frame[is_message]), _collectives(frame[~is_message])
    pairs = pd.concat([messages, others])
    return Arrows(_pairs(pairs[_is_sound(pairs)]), _pairs(messages[~_is_sound(messages)]))


def _is_sound(pairs: pd.DataFrame) -> pd.Series[bool]:
    return pairs["source_start"] < pairs["target_end"]


def _pairs(pairs: pd.DataFrame) -> Pairs:
    return pairs[["source", "target"]].to_numpy(np.intp)


def _messages(frame: pd.DataFrame) -> pd.DataFrame:
    edge = frame[GROUP].str.extract(r"^(\d+)>(\d+)$")
    rank = frame[RANK].astype(str)
    keys = [STEP, GROUP, SEQUENCE]
    sends = frame[edge[0] == rank].drop_duplicates(keys)
    receipts = frame[(edge[1] == rank) & (edge[0] != rank)].drop_duplicates(keys)
    return _joined(sends, receipts, keys)


def _collectives(frame: pd.DataFrame) -> pd.DataFrame:
    matched = frame[frame[READY] >= 0]
    # Disjoint groups may share a name; their operations differ in when they were ready.
    keys = [STEP, GROUP, KIND, SEQUENCE, READY]
    is_last = matched[START] == matched[READY]
    last = matched[is_last].drop_duplicates(keys)
    others = matched[~matched["row"].isin(last["row"])]
    return _joined(last, others, keys)


def _joined(sources: pd.DataFrame, targets: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    pairs = sources.merge(targets, on=keys, suffixes=("_source", "_target"))
    return pd.DataFrame(
        {
            "source": pairs["row_source"],
            "target": pairs["row_target"],
            "source_start": pairs[f"{START}_source"],
            "target_end": pairs[f"{END}_target"],
        }
    )
