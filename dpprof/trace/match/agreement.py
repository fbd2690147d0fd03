"""Numbers by order of start are right only if no rank has lost an operation: is that so?

The n-th operation of a group on one rank is the n-th on another if both did as many, of the same
kinds and sizes in the same order, and if no match ends before it starts. Numbers that a label or
Kineto wrote need no such proof; where they contradict causality, just that operation is dropped.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.tables.blocks import row_blocks
from dpprof.tables.columns import BYTES, END, GROUP, KIND, RANK, SEQUENCE, START, STEP
from dpprof.tables.edges import edge_of
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.activities.lost_kernels import LOST
from dpprof.trace.activities.possible_times import LEFT_OUT_CHECKS
from dpprof.trace.match.late_labels import Tolerance, are_late, late_evidence
from dpprof.trace.match.operations import (
    Matched,
    OperationPeers,
    candidates,
    match_operations,
    participants,
)
from dpprof.trace.rank.rank_part import RankPart

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

P2P = COMMUNICATION_KINDS[0]
SYNCHRONISE = frozenset(COMMUNICATION_KINDS) - {P2P, "broadcast", "comm_other"}
"""Kinds that end on no rank before all have started."""

_OF_ONE_SIZE = frozenset({P2P, "all_reduce", "all_gather", "reduce_scatter", "broadcast"})


def match_sound(events: pd.DataFrame, peers: OperationPeers, counted: Mask) -> Matched:
    """`match_operations`, but for numbers by order (`counted`) that are not certain."""
    wrong = disputed(events, peers, counted)
    return match_operations(without_numbers(events, wrong), peers)


def with_losses(part: RankPart) -> Mask:
    """Whether the rank of each of its communications is known to have lost some of its rows.

    Which ones is not known: what is the n-th of its kind in such a trace need not be the n-th.
    """
    lost = any(one.check in _LOSSES for one in part.evidence)
    return np.full(len(part.communications), lost)


_LOSSES = (LOST, *LEFT_OUT_CHECKS)


def without_numbers(events: pd.DataFrame, rows: Mask) -> pd.DataFrame:
    """The events with the numbers of some taken away, so that nothing matches them."""
    if not rows.any():
        return events
    return events.assign(**{SEQUENCE: events[SEQUENCE].where(~rows, -1)})


def disputed(events: pd.DataFrame, peers: OperationPeers, counted: Mask) -> Mask:
    """Which events are numbered by order (`counted`) though their group's ranks did not do alike.

    Of a step and group all of them are, or none.
    """
    result = np.zeros(len(events), dtype=bool)
    rows = candidates(events)
    rows = rows[counted[rows]]
    for own in row_blocks(events[GROUP].iloc[rows]):
        result[rows[own]] = _disputed(events, rows[own], peers)
    return result


def _disputed(events: pd.DataFrame, rows: npt.NDArray[np.intp], peers: OperationPeers) -> Mask:
    if not len(rows):
        return np.zeros(0, dtype=bool)
    members, _ = participants(events, rows, peers)
    part = events[[STEP, GROUP, KIND, BYTES, SEQUENCE, RANK]].iloc[rows]
    key = _codes(part[STEP], part[GROUP], pd.Series(members))
    kind = _text_codes(part[KIND])
    size = part[BYTES].to_numpy(np.int64)
    sized = part[KIND].isin(_OF_ONE_SIZE).to_numpy(dtype=bool)
    number = part[SEQUENCE].to_numpy(np.int64)
    bare = row_hashes(number, kind)
    full = row_hashes(number, kind, np.where(sized, size, -1))
    frame = pd.DataFrame({"key": key, RANK: part[RANK].to_numpy(), "rows": 1})
    frame["bare"], frame["full"] = bare, full
    frame["known"] = (size >= 0) | ~sized
    by_rank = frame.groupby(["key", RANK]).agg(
        {"rows": "sum", "bare": "sum", "full": "sum", "known": "all"}
    )
    by_key = by_rank.groupby("key")
    alike = by_key[["rows", "bare", "full"]].nunique() == 1
    fine = alike["rows"] & alike["bare"] & (alike["full"] | ~by_key["known"].all())
    disputes: Mask = ~fine.reindex(key).to_numpy(dtype=bool)
    return disputes


def row_hashes(*columns: npt.NDArray[np.int64]) -> Hashes:
    """A hash of each row of these columns; sums of them tell sets of rows apart."""
    result = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed = result * np.uint64(0x9E3779B97F4A7C15) + column.astype(np.uint64)
        result = pd.util.hash_array(mixed).astype(np.uint64)
    return result


def _text_codes(column: pd.Series[str]) -> npt.NDArray[np.int64]:
    return pd.factorize(column)[0].astype(np.int64)


def _codes(*columns: pd.Series[Any]) -> npt.NDArray[np.int64]:
    frame = pd.DataFrame({str(n): one.to_numpy() for n, one in enumerate(columns)})
    number = frame.groupby(list(frame), observed=True, sort=False).ngroup()
    return np.asarray(number, dtype=np.int64)


def without_ranks(events: pd.DataFrame, matched: Matched, ranks: Collection[int]) -> Matched:
    """The matches without the operations that any of these ranks takes part in with others."""
    if not ranks:
        return matched
    rows, operation = matched
    rank = events[RANK].to_numpy(np.int64)[rows]
    alone = pd.Series(rank).groupby(operation).transform("nunique").to_numpy() == 1
    touched = np.isin(operation, operation[np.isin(rank, list(ranks))]) & ~alone
    return Matched(rows[~touched], operation[~touched])


_SIDES = [KIND, GROUP, RANK, START, END]


def causal(
    events: pd.DataFrame, matched: Matched, counted: Mask, tolerance: Tolerance
) -> tuple[Matched, list[Evidence]]:
    """The matches without those that contradict causality, and what there is to say of the rest.

    Where numbers are by order (`counted`), one contradiction takes all of its step and group.
    Known numbers lose the operation alone, and not even that where late labels explain it.
    """
    rows, operation = matched
    if not len(rows):
        return matched, []
    behind_ns = np.zeros(len(rows), dtype=np.int64)
    for own in row_blocks(operation):
        behind_ns[own] = _behind_ns(events[_SIDES].iloc[rows[own]], operation[own])
    wrong, by_order = behind_ns > tolerance.ns, counted[rows]
    late = np.zeros(len(rows), dtype=bool)
    if not wrong.any():
        return matched, []
    part = events[[STEP, GROUP, RANK]].iloc[rows]
    group = _codes(part[STEP], part[GROUP].astype(str))
    spoilt = np.isin(group, group[wrong & by_order]) & by_order
    if tolerance.one_machine:
        late = are_late(wrong & ~by_order, pd.factorize(part[GROUP])[0])
    kept = (~wrong | late) & ~spoilt
    return Matched(rows[kept], operation[kept]), _said_of(part, operation, behind_ns, late)


def _said_of(
    part: pd.DataFrame, operation: Numbers, behind_ns: Numbers, late: Mask
) -> list[Evidence]:
    if not late.any():
        return []
    by_operation = pd.Series(behind_ns[late]).groupby(operation[late]).max().to_numpy(np.int64)
    ranks = part[RANK].to_numpy(np.int64)[late]
    return [late_evidence(ranks, by_operation, len(np.unique(operation)))]


def _behind_ns(part: pd.DataFrame, operation: Numbers) -> Numbers:
    """By how much each row's operation ends before its last participant has started."""
    waiter, source = _sides(part)
    rank = part[RANK].to_numpy(np.int64)
    starts = _last_of_ranks(np.where(source, part[START], -(2**62)), operation, rank)
    ends = -_last_of_ranks(np.where(waiter, -part[END], -(2**62)), operation, rank)
    position = np.searchsorted(starts.index.to_numpy(), operation)
    return np.asarray((starts - ends).to_numpy()[position], dtype=np.int64)


def _last_of_ranks(
    at_ns: npt.NDArray[np.int64], operation: npt.NDArray[np.int64], rank: npt.NDArray[np.int64]
) -> pd.Series[int]:
    """By operation the latest of its ranks' times; of a rank's own rows the first one counts.

    A message may have two: where it is posted, and where that is waited for.
    """
    first = pd.Series(at_ns).groupby([operation, rank]).min()
    return first.groupby(level=0).max()


def _sides(part: pd.DataFrame) -> tuple[Mask, Mask]:
    """Which rows may not end before all of the second have started."""
    synchronise = part[KIND].isin(SYNCHRONISE).to_numpy(dtype=bool)
    codes, groups = pd.factorize(part[GROUP])
    edges = [edge_of(str(group)) or (-1, -1) for group in groups]
    sender, receiver = np.array([*edges, (-1, -1)], dtype=np.int64)[codes].T
    rank = part[RANK].to_numpy(np.int64)
    return synchronise | (receiver == rank), synchronise | (sender == rank)
