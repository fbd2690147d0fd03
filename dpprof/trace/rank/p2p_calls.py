"""Which send and receive calls each message kernel carries out.

A call launches its own kernel, or, between the start and the end of a batch, none: the kernel of
the whole batch is launched after the last call (``nccl:coalesced``).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import BYTES, GROUP, PEER, RANK, SEQUENCE, START, STEP
from dpprof.tables.edges import batch_text
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS
from dpprof.trace.activities.classify import Found, Verdicts
from dpprof.trace.activities.find import Activities
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.rank.messages import said_by
from dpprof.trace.read.columns import Category, Mask, Rows, TraceColumns

_P2P = KINDS.index(COMMUNICATION_KINDS[0])


class Carried(NamedTuple):
    """One entry per call that a kernel carries: positions of the activity and of the collective."""

    activity: Rows
    collective: npt.NDArray[np.int64]


def carried_calls(trace: TraceColumns, issued: Activities, kernels: Mask) -> Carried:
    """The send and receive calls of the activities that `kernels` marks, in order of issue.

    A call belongs to the first of them that its thread launched from then on. Where one was
    launched within a call it carries that call only; else all that came since the one before, as
    far as they are of one process group.
    """
    peers = np.array([max(one.source, one.destination) for one in trace.collectives] + [-1])
    calls = trace.rows(Category.OPERATOR)
    calls = calls[peers[trace.collective[calls]] >= 0]
    calls = calls[np.lexsort((trace.start_ns[calls], trace.thread[calls]))]
    wanted = np.flatnonzero(kernels & (issued.issue_thread >= 0))
    wanted = wanted[np.lexsort((issued.issue_ns[wanted], issued.issue_thread[wanted]))]
    found = np.full(len(calls), -1, dtype=np.intp)
    for thread in np.intersect1d(trace.thread[calls], issued.issue_thread[wanted]):
        own = np.flatnonzero(trace.thread[calls] == thread)
        launched = wanted[issued.issue_thread[wanted] == thread]
        index = np.searchsorted(issued.issue_ns[launched], trace.start_ns[calls[own]])
        found[own] = np.append(launched, -1)[index]
    calls, found = calls[found >= 0], found[found >= 0]
    return _sound(trace, calls, found, issued.issue_ns[found])


def _sound(
    trace: TraceColumns, calls: Rows, activity: Rows, issue_ns: npt.NDArray[np.int64]
) -> Carried:
    frame = pd.DataFrame({"activity": activity, "collective": trace.collective[calls]})
    frame["inside"] = issue_ns < trace.end_ns[calls]
    group = pd.Series([one.group for one in trace.collectives], dtype=object)
    frame["group"] = group.reindex(frame["collective"]).to_numpy()
    by_kernel = frame.groupby("activity", sort=False)
    single = by_kernel["inside"].transform("any")
    last = by_kernel["group"].transform("last")
    kept = frame[np.where(single, frame["inside"], frame["group"] == last)]
    return Carried(kept["activity"].to_numpy(np.intp), kept["collective"].to_numpy(np.int64))


def with_messages(
    values: dict[str, object],
    trace: TraceColumns,
    issued: Activities,
    found: Found,
    verdicts: Verdicts,
) -> dict[str, object]:
    """Columns of the events table with the messages of its kernels: edge, number, peer, bytes.

    Messages are numbered by edge (and process group, where several connect two ranks) and step,
    in the order of their kernels. A kernel of several has them all in its group (see
    `dpprof.trace.match.batched_messages`), no number, and a peer only if all are with the same one.
    """
    own_label = (found.context[GROUP] != "").to_numpy()
    kernels = (verdicts.kinds == _P2P) & ~own_label & issued.on_gpu
    if not kernels.any():
        return values
    rank = int(np.asarray(values[RANK]))
    carried = carried_calls(trace, issued, kernels)
    messages = pd.concat(
        [_said_of(trace, carried, rank), _alone(trace, found, kernels, carried, rank)]
    )
    if messages.empty:
        return values
    messages[STEP] = np.asarray(values[STEP])[messages["activity"]]
    messages[START] = np.asarray(values[START])[messages["activity"]]
    return values | _columns(values, _numbered(messages))


def _said_of(trace: TraceColumns, carried: Carried, rank: int) -> pd.DataFrame:
    """Activity, edge, peer, bytes and process group of every message that calls name."""
    collectives = carried.collective.tolist()
    said = {code: said_by(trace.collectives[code], rank) for code in set(collectives)}
    return pd.DataFrame(
        {
            "activity": carried.activity,
            "edge": [said[code].group for code in collectives],
            PEER: [said[code].peer for code in collectives],
            BYTES: [said[code].bytes for code in collectives],
            GROUP: [trace.collectives[code].group for code in collectives],
        }
    ).astype({"edge": object, GROUP: object})


def _alone(
    trace: TraceColumns, found: Found, kernels: Mask, carried: Carried, rank: int
) -> pd.DataFrame:
    """The same of kernels without such calls: by their own metadata, or an older trace's words."""
    peers = np.array([max(one.source, one.destination) for one in trace.collectives] + [-1])
    free = kernels.copy()
    free[carried.activity] = False
    own = np.flatnonzero(free & (peers[found.collective] >= 0))
    told = _said_of(trace, Carried(own, found.collective[own].astype(np.int64)), rank)
    free[own] = False
    rest = np.flatnonzero(free & (found.call >= 0))
    edges = [_edge_in_words(trace.names[trace.name[found.call[row]]], rank) for row in rest]
    known = [(row, *edge) for row, edge in zip(rest.tolist(), edges, strict=True) if edge]
    words = pd.DataFrame(known, columns=["activity", "edge", PEER])
    words[BYTES], words[GROUP] = -1, ""
    return pd.concat([told, words], ignore_index=True) if known else told


_WORDS = re.compile(r"nccl:(?:send (\d+)->(\d+)|recv (\d+)<-(\d+))")


def _edge_in_words(name: str, rank: int) -> tuple[str, int] | None:
    """Edge and peer in ``nccl:send 0->1``, if its ranks are global ones as far as can be seen."""
    match = _WORDS.fullmatch(name)
    if match is None or int(match[1] or match[3]) != rank:
        return None
    peer = int(match[2] or match[4])
    return (f"{rank}>{peer}" if match[1] else f"{peer}>{rank}"), peer


def _numbered(messages: pd.DataFrame) -> pd.DataFrame:
    several = messages.groupby("edge")[GROUP].transform("nunique") > 1
    named = messages["edge"].where(~several, messages["edge"] + "@" + messages[GROUP])
    messages = messages.assign(edge=named).sort_values(START, kind="stable")
    return messages.assign(**{SEQUENCE: messages.groupby(["edge", STEP]).cumcount()})


def _columns(values: dict[str, object], messages: pd.DataFrame) -> dict[str, object]:
    names = (GROUP, SEQUENCE, PEER, BYTES)
    columns: dict[str, npt.NDArray[Any]] = {name: np.array(values[name]) for name in names}
    kernels, first, size = np.unique(messages["activity"], return_index=True, return_counts=True)
    single = messages.iloc[first[size == 1]]
    rows = kernels[size == 1]
    columns[GROUP][rows] = single["edge"]
    columns[SEQUENCE][rows] = np.where(single[STEP] == OUTSIDE, -1, single[SEQUENCE])
    columns[PEER][rows], columns[BYTES][rows] = single[PEER], single[BYTES]
    several = messages[messages["activity"].isin(kernels[size > 1])]
    for _, batch in several.groupby("activity"):
        row = int(batch["activity"].iloc[0])
        pairs = zip(batch["edge"].tolist(), batch[SEQUENCE].tolist(), strict=True)
        columns[GROUP][row] = batch_text(list(pairs))
        columns[SEQUENCE][row] = -1
        columns[PEER][row] = batch[PEER].iloc[0] if batch[PEER].nunique() == 1 else -1
        known = (batch[BYTES] >= 0).all()
        columns[BYTES][row] = batch[BYTES].sum() if known else -1
    return dict(columns)
