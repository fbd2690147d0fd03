"""Messages that stand behind others on their stream which they need not wait for.

Operations of a communicator run in the order in which they were posted. A receive that was posted
early holds up a send behind it until its own message comes, whoever waits for the other (pytorch
#172668, #188833). Known only where the trace records waits of streams.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dpprof.analysis.events.awaited import dependencies
from dpprof.analysis.events.pipeline_messages import sends
from dpprof.findings.change import Change
from dpprof.findings.replay import Replay
from dpprof.runs.run import Run
from dpprof.schedules.actions import slot_text
from dpprof.tables.columns import (
    AWAITED,
    END,
    GROUP,
    KIND,
    RANK,
    SEQUENCE,
    SLOT,
    START,
    STEP,
    WAITING,
)
from dpprof.tables.kinds import COMMUNICATION_KINDS

_P2P = COMMUNICATION_KINDS[0]
_KNOB = (
    "the order in which messages are posted: receives where they are needed and not ahead of sends "
    "(torch: batch_isend_irecv, a communicator for each way; Megatron "
    "--overlap-p2p-communication, CUDA_DEVICE_MAX_CONNECTIONS > 1)"
)
_KEYS = [STEP, GROUP, SEQUENCE]


def held_up(run: Run) -> pd.DataFrame:
    """Messages that an earlier operation of their stream held up, with whom that delayed.

    Columns: rank (that was delayed), step, slot (that waited), late_ns, by (rank whose stream it
    was), names of both. Empty where no rank's trace records waits.
    """
    found, consumers = [], []
    starts = run.held.communications[[RANK, *_KEYS, START]]
    for rank in sorted(run.knows_waits):
        events = run.held.of_rank(rank)
        waits = run.waits[run.waits[RANK] == rank]
        found.append(_behind_others(events, waits, starts[starts[RANK] != rank]))
        consumers.append(_consumers(events, waits))
    if not found:
        return pd.DataFrame(columns=[RANK, STEP, SLOT, "late_ns", "by"])
    late, slots = pd.concat(found), pd.concat(consumers)
    joined = late.merge(slots, on=_KEYS, suffixes=("_by", ""))
    joined = joined.rename(columns={f"{RANK}_by": "by"})
    return joined[[RANK, STEP, SLOT, "late_ns", "by"]]


def _behind_others(events: pd.DataFrame, waits: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """How much later each message of a rank started for the one before it on its lane.

    Only where the other end, whose start `others` has, was there before.
    """
    known = dependencies(events, waits)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    message = (events[KIND] == _P2P).to_numpy(dtype=bool)
    ready = known.ready_ns.copy()
    waited = known.explicit & known.moving[known.needed]
    np.maximum.at(ready, known.needs[waited], ends[known.needed[waited]])
    behind = ~known.explicit & message[known.needs] & known.moving[known.needed]
    rows, before = known.needs[behind], known.needed[behind]
    until = np.minimum(starts[rows], ends[before])
    own = events.iloc[rows][[RANK, *_KEYS]].assign(ready_ns=ready[rows], until_ns=until)
    own = own[(own[SEQUENCE] >= 0) & (own[GROUP] != "").to_numpy()].astype({GROUP: object})
    ends_of = others.drop(columns=RANK).astype({GROUP: object})
    own = own.merge(ends_of.drop_duplicates(_KEYS), on=_KEYS)
    own["late_ns"] = own["until_ns"] - own[["ready_ns", START]].max(axis=1)
    return own.loc[own["late_ns"] > 0, [RANK, *_KEYS, "late_ns"]]


def _consumers(events: pd.DataFrame, waits: pd.DataFrame) -> pd.DataFrame:
    """The slot that waits for each message that a rank receives."""
    pairs = waits[(waits[WAITING] < len(events)) & (waits[AWAITED] < len(events))]
    receives = (events[KIND] == _P2P).to_numpy(dtype=bool, copy=True)
    receives[receives] = ~sends(events[receives])
    pairs = pairs[receives[pairs[AWAITED]]]
    message = events.iloc[pairs[AWAITED].to_numpy()][[RANK, *_KEYS]].reset_index(drop=True)
    slots = events[SLOT].astype(str).to_numpy()[pairs[WAITING].to_numpy()]
    message[SLOT] = slots
    message = message[message[SLOT] != ""].drop_duplicates([RANK, *_KEYS])
    return message.astype({GROUP: object})


def head_of_line(replay: Replay) -> Iterator[Change]:
    """Slots that start late for a message held up by another that nobody needed yet."""
    run = replay.run
    if run.schedule is None or not run.knows_waits:
        return
    table = held_up(run)
    table = table[table[STEP].isin(run.used_steps)]
    if table.empty:
        return
    steps = sorted(set(run.slots[run.slots[STEP].isin(run.used_steps)][STEP]))
    numbers = {
        (pp_rank, slot_text(slot)): replay.plan.offsets[pp_rank] + place
        for pp_rank, slots in enumerate(run.schedule.ranks)
        for place, slot in enumerate(slots)
    }
    late, named, by = replay.late_ns.copy(), set(), set()
    for rank, step, slot, late_ns, holder in table.itertuples(index=False):
        number = numbers.get((run.pp_rank[rank], slot))
        if number is not None and step in steps:
            place = (steps.index(step), number)
            late[place] = max(0, min(late[place], replay.late_ns[place] - late_ns))
            named.add(slot)
            by.add(run.pp_rank[holder])
    if (late != replay.late_ns).any():
        yield Change(
            "head of line",
            f"{len(table)} messages stand behind others on their stream that they need not wait "
            f"for, on pipeline ranks {', '.join(map(str, sorted(by)))}: if they went first",
            _KNOB,
            tuple(sorted(by)),
            tuple(sorted(named)),
            late_ns=late,
        )
