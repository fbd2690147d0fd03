"""Joins the tables of the ranks, and matches their communications."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpprof.runs.manifest import Manifest
from dpprof.tables.columns import EVENTS, GROUP, READY, SEQUENCE
from dpprof.tables.concat import concat_tables
from dpprof.tables.devices import MOST_RANKS
from dpprof.trace.match.batched_messages import put_together, taken_apart
from dpprof.trace.match.operations import ALL_RANKS, Peers, match_by_order, match_groups
from dpprof.trace.rank.rank_part import PartedEvents, RankPart


def find_peers(ranks: Sequence[RankPart], manifest: Manifest | None) -> tuple[Peers, list[str]]:
    """Who takes part in the run, and a warning where ranks are missing."""
    present = tuple(one.rank for one in ranks)
    if manifest is not None:
        expected = {place.rank for place in manifest.ranks} or set(
            range(min(manifest.world_size, MOST_RANKS))
        )
    else:
        sizes = [one.identity.world_size or 0 for one in ranks]
        expected = set(range(max(sizes))) | set(present)
    missing = sorted(expected - set(present))
    peers = Peers(present, len(expected | set(present)), {o.rank: o.identity.groups for o in ranks})
    if not missing:
        return peers, []
    shown = ", ".join(str(rank) for rank in missing[:8]) + (", ..." if len(missing) > 8 else "")
    count = "one rank is" if len(missing) == 1 else f"{len(missing)} ranks are"
    return peers, [
        f"{count} missing of {len(expected)} ({shown}): figures that need the traces of peers "
        "(waiting against transfer, who was waited for) are not claimed for their communications"
    ]


def join_events(ranks: Sequence[RankPart], peers: Peers) -> tuple[PartedEvents, list[str]]:
    """All events with READY, and warnings on what the matching rests on."""
    events = concat_tables(EVENTS, [one.communications for one in ranks])
    no_wait = np.concatenate([one.no_wait for one in ranks])
    apart, origin = taken_apart(events)
    events = put_together(events, apart, origin, match_groups(apart, peers))
    ready = events[READY].to_numpy().copy()
    warnings = []
    if no_wait.any():
        warnings.append(
            "DeepEP low-latency kernels only send, or only receive: the transfer between the two "
            "runs on no kernel, so what is hidden of it cannot be known from kernels"
        )
        ready[no_wait] = -1
    by_order = match_by_order(events, peers, no_wait)
    matched = by_order >= 0
    if matched.any():
        group = events[GROUP].cat.add_categories([ALL_RANKS])
        ordered = events.assign(**{SEQUENCE: by_order})
        ordered[GROUP] = group.where(~matched, ALL_RANKS)
        found = match_groups(ordered, peers)
        ready = np.where(matched, found, ready)
        events[GROUP] = ordered[GROUP]
        events[SEQUENCE] = np.where(matched, by_order, events[SEQUENCE])
        warnings.append(
            f"{int(matched.sum())} collectives name no process group: they are matched by their "
            "order, as operations over all ranks"
        )
    events[READY] = ready
    return PartedEvents(ranks, events), warnings
