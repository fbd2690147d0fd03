"""Group, peer, bytes and sequence number of communications, from labels or Kineto's metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.tables.columns import BYTES, GROUP, PEER, SEQUENCE
from dpprof.tables.devices import MOST_RANKS
from dpprof.trace.activities.classify import Found, Verdicts
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.read.columns import Category, Codes, Collective, Nanoseconds, TraceColumns

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
    trace: TraceColumns, found: Found, verdicts: Verdicts, step: Codes, rank: int
) -> dict[str, object]:
    """The columns GROUP, PEER, BYTES and SEQUENCE of the activities of `rank`.

    A label's word counts before Kineto's. Kineto's operations are numbered within their group
    (or pipeline edge) and step, in order of start, unless it numbers all of the group itself.
    """
    context, collective = found.context, found.collective
    communicates = verdicts.communicates
    said = [said_by(one, rank) for one in trace.collectives] + [Said()]
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
    counted = _numbered(trace, found, step, np.where(by_kineto, group, ""))
    sequence = np.where(labelled, context[SEQUENCE].to_numpy(np.int64), counted)
    return {GROUP: group, SEQUENCE: sequence, **columns}


class Said:
    """Group (or pipeline edge), peer and bytes that a collective's metadata give."""

    def __init__(self, group: str = "", peer: int = -1, sent: int = -1) -> None:
        self.group, self.peer, self.bytes = group, peer, sent


def said_by(one: Collective, rank: int) -> Said:
    """What a collective's metadata say of it, in the words of the events table of `rank`."""
    width = _width(one.dtype)
    sent = one.elements * width if one.elements >= 0 and width else -1
    if max(one.source, one.destination) >= MOST_RANKS:
        return Said("", -1, sent)
    receives = one.source >= 0 and (one.destination == rank or one.name.endswith("recv"))
    if one.destination >= 0 and not receives:
        return Said(f"{rank}>{one.destination}", one.destination, sent)
    if one.source >= 0:
        return Said(f"{one.source}>{rank}", one.source, sent)
    return Said(one.group, -1, sent)


def _width(dtype: str) -> int:
    name = dtype.lower()
    if name.startswith("float8"):
        return 1
    return _BYTES.get(name, 0)


def _numbered(
    trace: TraceColumns,
    found: Found,
    step: Codes,
    group: np.ndarray[tuple[int], np.dtype[np.object_]],
) -> Nanoseconds:
    sequence = np.full(len(group), -1, dtype=np.int64)
    members = np.flatnonzero((group != "") & (step != OUTSIDE))
    if not len(members):
        return sequence
    frame = pd.DataFrame(
        {
            "row": members,
            "group": group[members],
            "step": step[members],
            "start": trace.start_ns[found.rows[members]],
        }
    ).sort_values("start", kind="stable")
    sequence[frame["row"]] = frame.groupby(["group", "step"]).cumcount()
    written = np.array([one.sequence for one in trace.collectives], dtype=np.int64)
    frame["written"] = written[found.collective[frame["row"]]]
    whole = frame.groupby("group")["written"].transform("min") >= 0
    collective = ~frame["group"].str.contains(">", regex=False)
    chosen = frame[whole & collective]
    sequence[chosen["row"]] = chosen["written"]
    return sequence
