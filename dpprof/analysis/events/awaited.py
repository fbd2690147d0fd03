"""From when on work of the device waits for a communication: what blocks, beside what is exposed.

A transfer is exposed while nothing computes, and blocks while something waits for it: work that
was launched, and whose other inputs were all there. The two are not the same: a receive that
nobody needs yet blocks nobody, and one may block a kernel while others compute.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import AWAITED, END, KIND, LANE, LAUNCH, START, WAITING
from dpprof.tables.kinds import COMMUNICATION_KINDS

NEVER = int(np.iinfo(np.int64).max)

Times = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Dependencies(NamedTuple):
    """What each event of a rank needed: pairs of positions, of the one that needs and the other.

    `moving` marks communications, `passing` all that runs on lanes that mostly communicate: it
    hands on, and needs something only where others need it. `explicit` marks pairs of a wait,
    and not of the order within a lane.
    """

    needs: Numbers
    needed: Numbers
    explicit: Mask
    moving: Mask
    passing: Mask
    ready_ns: Times  # when each could start but for communications that it needs


def dependencies(events: pd.DataFrame, waits: pd.DataFrame) -> Dependencies:
    """The dependencies among the events of one rank, given its table of `WAITS`."""
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    lane, moving = _lanes(events), events[KIND].isin(COMMUNICATION_KINDS).to_numpy(dtype=bool)
    order = np.lexsort((starts, lane))
    follows = order[1:][lane[order[1:]] == lane[order[:-1]]]
    before = order[:-1][lane[order[1:]] == lane[order[:-1]]]
    pairs = waits[(waits[WAITING] < len(events)) & (waits[AWAITED] < len(events))]
    needs = np.concatenate([follows, pairs[WAITING].to_numpy(np.int64)])
    needed = np.concatenate([before, pairs[AWAITED].to_numpy(np.int64)])
    explicit = np.arange(len(needs)) >= len(follows)
    sound = ends[needed] <= starts[needs]  # else the trace contradicts itself, or kernels overlap
    needs, needed, explicit = needs[sound], needed[sound], explicit[sound]
    passing = _passing(lane, ends - starts, moving)
    launches = events[LAUNCH].to_numpy(np.int64)
    ready = np.where(launches < 0, starts, launches)  # of what is not known nothing is claimed
    done = ~moving[needed] & ~(passing[needed] & ~passing[needs])
    np.maximum.at(ready, needs[done], ends[needed[done]])
    return Dependencies(needs, needed, explicit, moving, passing | moving, ready)


def awaited_from(events: pd.DataFrame, waits: pd.DataFrame) -> Times:
    """For each event the instant from which work of the device waits for it; `NEVER` for none."""
    known = dependencies(events, waits)
    starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
    result = np.full(len(events), NEVER, dtype=np.int64)
    passes = known.passing[known.needed]
    needs, needed = known.needs[passes], known.needed[passes]
    order = np.argsort(needs, kind="stable")
    needs, needed = needs[order], needed[order]
    from_ns = np.where(known.passing, NEVER, known.ready_ns)
    asking = np.flatnonzero(~known.passing)
    while len(asking):
        pairs = _expanded(needs, asking)
        since, on = from_ns[needs[pairs]], needed[pairs]
        late = ends[on] > since
        since, on = since[late], on[late]
        np.minimum.at(result, on, np.maximum(since, starts[on]))
        # What was asked for asks in turn, from when it could have run itself.
        asked = np.unique(on)
        earlier = np.maximum(_asked_from(on, since, asked), known.ready_ns[asked])
        sooner = earlier < from_ns[asked]
        from_ns[asked] = np.minimum(from_ns[asked], earlier)
        asking = asked[sooner]
    return result


def _lanes(events: pd.DataFrame) -> Numbers:
    return np.asarray(pd.factorize(events[LANE])[0], dtype=np.int64)


def _passing(lane: Numbers, length: Times, moving: Mask) -> Mask:
    """What runs on lanes that communicate for most of the time that they do anything."""
    count = int(lane.max(initial=-1)) + 1
    every = np.bincount(lane, weights=length, minlength=count)
    moved = np.bincount(lane, weights=length * moving, minlength=count)
    passing: Mask = (2 * moved > every)[lane]
    return passing


def _expanded(needs: Numbers, asking: Numbers) -> Numbers:
    """Positions in `needs`, which is sorted, of all that are `asking`."""
    low, high = np.searchsorted(needs, asking), np.searchsorted(needs, asking, side="right")
    counts = high - low
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    found: Numbers = np.repeat(low, counts) + place
    return found


def _asked_from(on: Numbers, since: Times, asked: Numbers) -> Times:
    first = np.full(len(asked), NEVER, dtype=np.int64)
    np.minimum.at(first, np.searchsorted(asked, on), since)
    return first
