"""What matched communications say about the clocks of their participants, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import END, GROUP, KIND, RANK, START
from dpprof.tables.edges import edge_of
from dpprof.trace.match.agreement import P2P, SYNCHRONISE
from dpprof.trace.match.operations import Matched

_ALL_PAIRS_UP_TO = 8
_NO_EDGE = (-1, -1)


class Bounds(NamedTuple):
    """One entry per pair of a waiter and a rank that it cannot end before, in one operation.

    By the clocks as they are, `most_ns` is the most that the clock of `source` may be shifted
    more than that of `waiter`; below 0, the trace contradicts causality. `at_ns` says when.
    """

    waiter: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    most_ns: npt.NDArray[np.int64]
    at_ns: npt.NDArray[np.int64]
    operation: npt.NDArray[np.int64]


def clock_bounds(events: pd.DataFrame, matched: Matched) -> Bounds:
    """What the matched operations say about the clocks; linear in their participants.

    Broadcasts, and operations of unknown kind, need not wait for all of their participants and
    say nothing. In groups of more than 8, neighbours, the first rank, the first to end and the
    last to start stand for all pairs.
    """
    part = events.iloc[matched.rows][[RANK, START, END, KIND, GROUP]]
    part = part.assign(operation=matched.operation).astype({KIND: str, GROUP: str})
    message = part[KIND] == P2P
    everyone = part[part[KIND].isin(SYNCHRONISE)]
    pairs = [_message_pairs(part[message]), *_collective_pairs(everyone)]
    joined = pd.concat(pairs, ignore_index=True)
    joined = joined[joined["waiter"] != joined["source"]]
    return Bounds(
        waiter=joined["waiter"].to_numpy(np.int64),
        source=joined["source"].to_numpy(np.int64),
        most_ns=(joined["ends"] - joined["starts"]).to_numpy(np.int64),
        at_ns=((joined["ends"] + joined["starts"]) // 2).to_numpy(np.int64),
        operation=joined["operation"].to_numpy(np.int64),
    )


def _participants(part: pd.DataFrame) -> pd.DataFrame:
    spans = part.groupby(["operation", RANK], as_index=False).agg({START: "min", END: "max"})
    return spans.sort_values(["operation", RANK], ignore_index=True)


def _pairs(waiters: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    left = waiters[["operation", RANK, END]].set_axis(["operation", "waiter", "ends"], axis=1)
    right = sources[["operation", RANK, START]].set_axis(["operation", "source", "starts"], axis=1)
    return left.merge(right, on="operation")


def _message_pairs(part: pd.DataFrame) -> pd.DataFrame:
    codes, groups = pd.factorize(part[GROUP])
    edges = [edge_of(str(group)) or _NO_EDGE for group in groups]
    sender, receiver = np.array(edges, dtype=np.int64).reshape(-1, 2)[codes].T
    sends, receives = part[sender == part[RANK]], part[receiver == part[RANK]]
    return _pairs(_participants(receives), _participants(sends))


def _collective_pairs(part: pd.DataFrame) -> Iterator[pd.DataFrame]:
    everyone = _participants(part)
    size = everyone.groupby("operation")[RANK].transform("size")
    few, many = everyone[size <= _ALL_PAIRS_UP_TO], everyone[size > _ALL_PAIRS_UP_TO]
    yield _pairs(few, few)
    by_operation = many.groupby("operation")
    first = many[by_operation.cumcount() == 0]
    last_to_start = many.loc[by_operation[START].idxmax()]
    first_to_end = many.loc[by_operation[END].idxmin()]
    for one in (first, last_to_start, first_to_end):
        yield _pairs(many, one)
        yield _pairs(one, many)
    following = many.assign(**{name: by_operation[name].shift(-1) for name in (RANK, START, END)})
    following = following.dropna().astype({RANK: "int64", START: "int64", END: "int64"})
    beside = many.loc[following.index].reset_index(drop=True)
    following = following.reset_index(drop=True)
    for one, other in ((beside, following), (following, beside)):
        yield pd.DataFrame(
            {
                "operation": one["operation"],
                "waiter": one[RANK],
                "ends": one[END],
                "source": other[RANK],
                "starts": other[START],
            }
        )
