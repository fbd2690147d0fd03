"""Messages that were posted and waited for later: gloo's spans go from the call to that wait.

A send may be waited for long after the message has arrived. It is over, at the latest, when the
receive is.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.tables.columns import END, GROUP, KIND, NAME, RANK, READY, STEP
from dpprof.tables.edges import edge_of, is_posted
from dpprof.trace.match.agreement import P2P
from dpprof.trace.match.operations import Matched

UNMATCHED = "unmatched-messages"
_TOUCHES = (
    *("wait_ns", "bubble_ns", "bubble_share", "bubble.dependency", "bubble.straggler"),
    *("communication_ns", "hidden_ns", "exposed_ns", "hidden_share", "exposed.p2p"),
    *("p2p.wait_ns", "p2p.total_ns", "p2p.hidden_ns", "p2p.exposed_ns", "p2p.hidden_share"),
    *("critical_path", "ideal"),
)


def until_received(events: pd.DataFrame, apart: pd.DataFrame, matched: Matched) -> pd.DataFrame:
    """The events with sends that end no later than their receives do.

    `apart` has the same rows as `events` wherever a message was posted: these are no batches.
    """
    posted = _posted(events)
    if not posted.any() or len(apart) != len(events):
        return events
    rows, operation = matched
    receives = _receiver(events.iloc[rows]) == events[RANK].to_numpy(np.int64)[rows]
    ends = pd.Series(events[END].to_numpy(np.int64)[rows[receives]])
    latest = ends.groupby(operation[receives]).max().reindex(operation).to_numpy(dtype=float)
    own = events[END].to_numpy(np.int64).copy()
    ready = events[READY].to_numpy(np.int64)[rows]
    cut = posted[rows] & ~receives & ~np.isnan(latest)
    until = np.maximum(np.where(cut, latest, 0).astype(np.int64), ready)
    own[rows[cut]] = np.minimum(own[rows], until)[cut]
    return events.assign(**{END: own})


def _posted(events: pd.DataFrame) -> npt.NDArray[np.bool_]:
    codes, names = pd.factorize(events[NAME])
    known = np.array([*(is_posted(str(name)) for name in names), False], dtype=bool)
    found: npt.NDArray[np.bool_] = known[codes] & (events[KIND] == P2P).to_numpy(dtype=bool)
    return found


def _receiver(part: pd.DataFrame) -> npt.NDArray[np.int64]:
    codes, groups = pd.factorize(part[GROUP])
    ends = [(edge_of(str(group)) or (-1, -1))[1] for group in groups]
    return np.array([*ends, -1], dtype=np.int64)[codes]


def unmatched_messages(communications: pd.DataFrame, steps: Collection[int]) -> list[Evidence]:
    """What is amiss where posted messages of these steps were not matched."""
    used = communications[communications[STEP].isin(steps)]
    used = used[_posted(used)]
    lost = used[used[READY] < 0]
    if lost.empty:
        return []
    nameless = (lost[GROUP] == "").any()
    why = "the trace does not say with whom they are" if nameless else "their peers' were not found"
    way = (
        "profile with record_shapes=True, or run the job under `dpprof run`"
        if nameless
        else "give the traces of all ranks"
    )
    return [
        Evidence(
            check=UNMATCHED,
            found=len(lost),
            of=len(used),
            ranks=tuple(sorted(set(lost[RANK].tolist()))),
            touches=_TOUCHES,
            text=f"{len(lost)} of {len(used)} messages are not matched, as {why}: they are open "
            "from the call to the wait for them, so that bubbles, hidden communication and waiting "
            f"are n/a; {way}",
        )
    ]
