"""Which send and receive calls each message kernel carries out.

A call launches its own kernel, or, between the start and the end of a batch, none: the kernel of
the whole batch is launched after the last call (``nccl:coalesced``). On a CPU run a message is a
span from the call to the end of the wait for it (``gloo:send``); the call around its start says
with whom it is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import BYTES, GROUP, PEER, SEQUENCE, START, STEP
from dpprof.tables.edges import batch_text, inner_edge, outer_group
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS
from dpprof.trace.activities.classify import FoundActivities, Verdicts
from dpprof.trace.activities.find import Activities
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.rank.messages import COUNTED, Reader, bytes_of
from dpprof.trace.rank.process_groups import UNKNOWN, OwnGroups, peer_in_words
from dpprof.trace.read.columns import Category, Collective, Mask, Rows, TraceColumns

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
    calls = trace.rows(Category.OPERATOR)
    calls = calls[_with_peers(trace)[trace.collective[calls]]]
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


def _with_peers(trace: TraceColumns) -> Mask:
    """Which collectives, by number, name a peer; the last entry, of none, is false.

    Where Kineto's own records do, the calls of c10d around them, which do so too, are left out.
    """
    named = [
        max(one.source, one.destination) >= 0 or inner_edge(one.group) is not None
        for one in trace.collectives
    ]
    by_kineto = [name and one.tag < 0 for name, one in zip(named, trace.collectives, strict=True)]
    return np.array([*(by_kineto if any(by_kineto) else named), False], dtype=bool)


def _sound(
    trace: TraceColumns, calls: Rows, activity: Rows, issue_ns: npt.NDArray[np.int64]
) -> Carried:
    frame = pd.DataFrame({"activity": activity, "collective": trace.collective[calls]})
    frame["inside"] = issue_ns < trace.end_ns[calls]
    group = pd.Series([outer_group(one.group) for one in trace.collectives], dtype=object)
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
    found: FoundActivities,
    verdicts: Verdicts,
    own: OwnGroups,
) -> dict[str, object]:
    """Columns of the events table with its messages: edge, number, peer, bytes.

    Messages are numbered by edge (and process group, where several connect two ranks) and step,
    in the order of their kernels. A kernel of several has them all in its group (see
    `dpprof.trace.match.batched_messages`), no number, and a peer only if all are with the same one.
    """
    own_label = (found.context[GROUP] != "").to_numpy()
    messages = (verdicts.kinds == _P2P) & ~own_label
    if not messages.any():
        return values
    told = _Told(trace, own, Reader(own, trace))
    carried = _NOTHING
    if issued.on_gpu:
        carried = carried_calls(trace, issued, messages)
    rows = pd.concat([told.of(carried), told.alone(found, messages, carried)])
    if rows.empty:
        return values
    rows[STEP] = np.asarray(values[STEP])[rows["activity"]]
    rows[START] = np.asarray(values[START])[rows["activity"]]
    return values | _columns(values, _numbered(rows))


_NOTHING = Carried(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64))


class _Told(NamedTuple):
    """What a trace tells of messages, to its rank."""

    trace: TraceColumns
    own: OwnGroups
    reader: Reader

    def of(self, carried: Carried) -> pd.DataFrame:
        """Activity, edge, peer, bytes and process group of every message that calls name."""
        collectives, codes = self.trace.collectives, carried.collective.tolist()
        said = {code: self.reader.said(collectives[code]) for code in set(codes)}
        return pd.DataFrame(
            {
                "activity": carried.activity,
                "edge": [said[code].group for code in codes],
                PEER: [said[code].peer for code in codes],
                BYTES: [said[code].bytes for code in codes],
                GROUP: [_channel(collectives[code]) for code in codes],
            }
        ).astype({"edge": object, GROUP: object})

    def alone(self, found: FoundActivities, messages: Mask, carried: Carried) -> pd.DataFrame:
        """The same of messages without such calls: by their own metadata, or older words."""
        free = messages.copy()
        free[carried.activity] = False
        own = np.flatnonzero(free & _with_peers(self.trace)[found.collective])
        told = self.of(Carried(own, found.collective[own].astype(np.int64)))
        spans = self.trace.collective[found.rows[own]]
        sizes = np.array([bytes_of(one) for one in self.trace.collectives] + [-1])[spans]
        told[BYTES] = np.where(told[BYTES] < 0, sizes, told[BYTES])
        free[own] = False
        rest = np.flatnonzero(free & (found.call >= 0))
        texts = [self.trace.names[self.trace.name[found.call[row]]] for row in rest]
        edges = [_edge_in_words(text, self.own) for text in texts]
        known = [(row, *edge) for row, edge in zip(rest.tolist(), edges, strict=True) if edge]
        words = pd.DataFrame(known, columns=["activity", "edge", PEER])
        words[BYTES], words[GROUP] = -1, ""
        return pd.concat([told, words], ignore_index=True) if known else told


def _channel(one: Collective) -> str:
    """What keeps messages between the same two ranks apart: the group, and a tag."""
    return f"{one.group} tag {one.tag}".strip() if one.tag > 0 else one.group


_WORDS = re.compile(r"nccl:(?:send (\d+)->(\d+)|recv (\d+)<-(\d+))")


def _edge_in_words(name: str, own: OwnGroups) -> tuple[str, int] | None:
    """Edge and peer in ``nccl:send 0->1``, if it is certain which ranks its numbers mean."""
    match = _WORDS.fullmatch(name)
    if match is None:
        return None
    peer = peer_in_words(own, int(match[1] or match[3]), int(match[2] or match[4]))
    if peer == UNKNOWN:
        return None
    return (f"{own.rank}>{peer}" if match[1] else f"{peer}>{own.rank}"), peer


def _numbered(messages: pd.DataFrame) -> pd.DataFrame:
    several = messages.groupby("edge")[GROUP].transform("nunique") > 1
    named = messages["edge"].where(~several, messages["edge"] + "@" + messages[GROUP])
    messages = messages.assign(edge=named).sort_values(START, kind="stable")
    return messages.assign(**{SEQUENCE: messages.groupby(["edge", STEP]).cumcount()})


def _columns(values: dict[str, object], messages: pd.DataFrame) -> dict[str, object]:
    names = (GROUP, SEQUENCE, PEER, BYTES, COUNTED)
    columns: dict[str, npt.NDArray[Any]] = {name: np.array(values[name]) for name in names}
    kernels, first, size = np.unique(messages["activity"], return_index=True, return_counts=True)
    single = messages.iloc[first[size == 1]]
    rows = kernels[size == 1]
    numbered = (single[STEP] != OUTSIDE) & (single["edge"] != "")
    columns[GROUP][rows] = single["edge"]
    columns[SEQUENCE][rows] = np.where(numbered, single[SEQUENCE], -1)
    columns[PEER][rows], columns[BYTES][rows] = single[PEER], single[BYTES]
    columns[COUNTED][kernels] = True
    several = messages[messages["activity"].isin(kernels[size > 1])]
    for _, batch in several.groupby("activity"):
        row = int(batch["activity"].iloc[0])
        pairs = zip(batch["edge"].tolist(), batch[SEQUENCE].tolist(), strict=True)
        columns[GROUP][row] = batch_text(list(pairs)) if (batch["edge"] != "").all() else ""
        columns[SEQUENCE][row] = -1
        columns[PEER][row] = batch[PEER].iloc[0] if batch[PEER].nunique() == 1 else -1
        known = (batch[BYTES] >= 0).all()
        columns[BYTES][row] = batch[BYTES].sum() if known else -1
    return dict(columns)
