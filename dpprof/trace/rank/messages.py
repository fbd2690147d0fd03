"""Group, peer, bytes and sequence number of communications, from labels or Kineto's metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.tables.columns import BYTES, GROUP, PEER, SEQUENCE
from dpprof.tables.devices import MOST_RANKS
from dpprof.tables.edges import inner_edge
from dpprof.trace.activities.classify import FoundActivities, Verdicts
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.rank.process_groups import OwnGroups, PeerNumbers
from dpprof.trace.read.columns import (
    Category,
    Codes,
    Collective,
    Mask,
    Nanoseconds,
    TraceColumns,
)

COUNTED = "counted"

_BYTES = {
    "float": 4,
    "double": 8,
    "half": 2,
    "bfloat16": 2,
    "byte": 1,
    "char": 1,
    "short": 2,
    "int": 4,
    "long": 8,
    "bool": 1,
    "complexfloat": 8,
    "complexdouble": 16,
}


def message_columns(
    trace: TraceColumns, found: FoundActivities, verdicts: Verdicts, step: Codes, reader: Reader
) -> dict[str, object]:
    """The columns GROUP, PEER, BYTES, SEQUENCE and `COUNTED` of the activities of a rank.

    A label's word counts before Kineto's. Kineto's operations are numbered within their group
    (or pipeline edge) and step, in order of start, unless it numbers all of the group itself.
    `COUNTED` says which have a number of the first sort: it is only right if nothing is missing.
    """
    context, collective = found.context, found.collective
    communicates = verdicts.communicates
    said = [reader.said(one) for one in trace.collectives] + [CommunicationMetadata()]
    labelled = (context[GROUP] != "").to_numpy() & communicates
    by_kineto = ~labelled & communicates & (collective >= 0)
    group = np.where(labelled, context[GROUP].astype(object), "")
    group[by_kineto] = np.array([one.group for one in said], dtype=object)[collective[by_kineto]]
    columns = {}
    for name in (PEER, BYTES):
        kineto = np.array([getattr(one, name) for one in said], dtype=np.int64)[collective]
        label = context[name].to_numpy(np.int64)
        columns[name] = np.where(labelled, label, np.where(by_kineto, kineto, -1))
    memory = trace.category[found.rows] != Category.KERNEL
    copied = memory & (columns[BYTES] < 0) & ~found.labelled
    columns[BYTES] = np.where(copied, trace.bytes[found.rows], columns[BYTES])
    # Several copies carry out one collective, each on its own: they have no number in its group.
    number, counted = _numbered(trace, found, step, np.where(by_kineto & ~memory, group, ""))
    sequence = np.where(labelled, context[SEQUENCE].to_numpy(np.int64), number)
    return {GROUP: group, SEQUENCE: sequence, COUNTED: counted & ~labelled, **columns}


class CommunicationMetadata:
    """Group (or pipeline edge), peer and bytes that a collective's metadata give."""

    def __init__(self, group: str = "", peer: int = -1, sent: int = -1) -> None:
        self.group, self.peer, self.bytes = group, peer, sent


class Reader:
    """Reads what collectives' metadata say, in the words of the events table of one rank."""

    def __init__(self, own: OwnGroups, trace: TraceColumns) -> None:
        self._own, self._peers = own, PeerNumbers(own, trace.collectives)

    def said(self, one: Collective) -> CommunicationMetadata:
        """What the metadata of a collective say of it."""
        sent = bytes_of(one)
        if inner_edge(one.group) is not None:
            return CommunicationMetadata(one.group, -1, sent)
        if one.source < 0 and one.destination < 0:
            return CommunicationMetadata(self._own.named(one), -1, sent)
        peer, mine = self._peers.peer(one), self._own.rank
        if not 0 <= peer < MOST_RANKS:
            return CommunicationMetadata("", -1, sent)
        receives = one.name.endswith("recv") or one.destination < 0
        return CommunicationMetadata(f"{peer}>{mine}" if receives else f"{mine}>{peer}", peer, sent)


def bytes_of(one: Collective) -> int:
    """How much this rank sends, or receives of a message; -1 where it is not told."""
    width = _width(one.dtype)
    return one.elements * width if one.elements >= 0 and width else -1


def _written(one: Collective) -> int:
    """Kineto's number of an operation in its group, or what it identifies it by; -1 for neither."""
    if one.sequence >= 0 or not one.identity.isdecimal():
        return one.sequence
    return int(one.identity) % 2**62


def _width(dtype: str) -> int:
    name = dtype.lower()
    if name.startswith("float8"):
        return 1
    return _BYTES.get(name, 0)


def _numbered(
    trace: TraceColumns,
    found: FoundActivities,
    step: Codes,
    group: np.ndarray[tuple[int], np.dtype[np.object_]],
) -> tuple[Nanoseconds, Mask]:
    """Numbers within group and step, and which of them are by order of start alone."""
    sequence = np.full(len(group), -1, dtype=np.int64)
    counted = np.zeros(len(group), dtype=bool)
    members = np.flatnonzero((group != "") & (step != OUTSIDE))
    if not len(members):
        return sequence, counted
    frame = pd.DataFrame(
        {
            "row": members,
            "group": group[members],
            "step": step[members],
            "start": trace.start_ns[found.rows[members]],
        }
    ).sort_values("start", kind="stable")
    sequence[frame["row"]] = frame.groupby(["group", "step"]).cumcount()
    written = np.array([_written(one) for one in trace.collectives], dtype=np.int64)
    frame["written"] = written[found.collective[frame["row"]]]
    whole = frame.groupby("group")["written"].transform("min") >= 0
    collective = ~frame["group"].str.contains(">", regex=False)
    chosen = frame[whole & collective]
    counted[members] = True
    counted[chosen["row"]] = False
    sequence[chosen["row"]] = chosen["written"]
    return sequence, counted
