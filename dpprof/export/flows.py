"""The arrows of an exported trace: between the slices of who sent and who received.

Perfetto takes an arrow only if its first point is no later than its second, and each lies in a
slice of its track.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dpprof.analysis.events.pipeline_messages import message_name
from dpprof.export.arrows import Pairs, arrows
from dpprof.export.chrome import Event, flow, microseconds
from dpprof.tables.columns import END, KIND, RANK, SLOT, START, STEP

_MADE_BY = [RANK, STEP, "action"]


def flows(moved: pd.DataFrame, made: Sequence[pd.DataFrame], origin_ns: int) -> Iterator[Event]:
    """An arrow for every matched communication, as far as one can be drawn.

    `moved` are the communications of all ranks and `made` the slots of each, with their tracks
    (pid, tid); a communication names the ``action`` that made it. A message that was received
    before its send began, as a host notes it late, comes from the slot that made it.
    """
    found = arrows(moved)
    points = _from_sends(moved, found.sound)
    if len(found.late) and any(len(slots) for slots in made):
        points = pd.concat([points, _from_slots(moved, found.late, made)])
    begins, ends = (
        microseconds(points[name].to_numpy(np.int64) - origin_ns) for name in ("from_at", "to_at")
    )
    names = ("kind", "from_pid", "from_tid", "to_pid", "to_tid")
    rows = zip(*(points[name].tolist() for name in names), begins, ends, strict=True)
    for number, (kind, from_pid, from_tid, to_pid, to_tid, begin, end) in enumerate(rows, 1):
        yield from flow(number, kind, (from_pid, from_tid, begin), (to_pid, to_tid, end))


def _ends(moved: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    target = moved.iloc[pairs[:, 1]]
    return pd.DataFrame(
        {
            "kind": target[KIND].to_numpy(),
            "to_pid": target["pid"].to_numpy(),
            "to_tid": target["tid"].to_numpy(),
            # The last instant: an arrow must not lead back in time, nor miss its slice.
            "to_at": target[END].to_numpy(np.int64) - 1,
        }
    )


def _from_sends(moved: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    source = moved.iloc[pairs[:, 0]]
    begins = {
        "from_pid": source["pid"].to_numpy(),
        "from_tid": source["tid"].to_numpy(),
        "from_at": source[START].to_numpy(np.int64),
    }
    return _ends(moved, pairs).assign(**begins)


def _from_slots(moved: pd.DataFrame, pairs: Pairs, made: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Arrows from the last instant that the slot and the receive share, or the slot's own last."""
    wanted = moved.iloc[pairs[:, 0]][_MADE_BY].reset_index(drop=True)
    slots = _by_action(made).rename(columns={"pid": "from_pid", "tid": "from_tid"})
    found = _ends(moved, pairs).join(wanted).merge(slots, on=_MADE_BY)
    found = found[(found[START] <= found["to_at"]) & (found[END] > found[START])]
    last = np.minimum(found[END].to_numpy(np.int64) - 1, found["to_at"].to_numpy(np.int64))
    return found.assign(from_at=last)


def _by_action(made: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A row for each action of each slot, by the name that its message bears."""
    slots = pd.concat(made, ignore_index=True)[[RANK, STEP, START, END, SLOT, "pid", "tid"]]
    slots["action"] = slots[SLOT].astype(str).str.split("&")
    slots = slots.explode("action", ignore_index=True)
    slots["action"] = [message_name(action) for action in slots["action"].tolist()]
    return slots.drop(columns=SLOT).drop_duplicates(_MADE_BY)
