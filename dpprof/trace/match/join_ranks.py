"""Joins the tables of the ranks, and matches their communications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.runs.manifest import Manifest
from dpprof.tables.columns import EVENTS, GROUP, RANK, READY, SEQUENCE, START
from dpprof.tables.concat import concat_tables
from dpprof.tables.devices import MOST_RANKS
from dpprof.trace.match.agreement import (
    causal,
    match_sound,
    with_losses,
    without_numbers,
    without_ranks,
)
from dpprof.trace.match.align_clocks import AlignedClocks
from dpprof.trace.match.bare_order import match_by_order
from dpprof.trace.match.batched_messages import put_together, taken_apart
from dpprof.trace.match.operations import ALL_RANKS, UNSPLIT, OperationPeers, match_groups, ready_of
from dpprof.trace.match.posted import until_received
from dpprof.trace.rank.rank_part import PartedEvents, RankPart


def find_peers(
    ranks: Sequence[RankPart], manifest: Manifest | None
) -> tuple[OperationPeers, tuple[Evidence, ...]]:
    """Who takes part in the run, and the ranks that are missing."""
    present = tuple(one.rank for one in ranks)
    if manifest is not None:
        expected = {place.rank for place in manifest.ranks} or set(
            range(min(manifest.world_size, MOST_RANKS))
        )
    else:
        sizes = [one.identity.world_size or 0 for one in ranks]
        expected = set(range(max(sizes))) | set(present)
    missing = sorted(expected - set(present))
    peers = OperationPeers(
        present,
        len(expected | set(present)),
        {one.rank: one.identity.groups for one in ranks},
        {one.rank: one.identity.process_groups for one in ranks},
    )
    return peers, _missing_evidence(missing, len(expected))


def _missing_evidence(missing: Sequence[int], expected: int) -> tuple[Evidence, ...]:
    """It touches no figure of the ranks present: what needs peers is unsplit, and says so."""
    if not missing:
        return ()
    shown = ", ".join(str(rank) for rank in missing[:8]) + (", ..." if len(missing) > 8 else "")
    count = "one rank is" if len(missing) == 1 else f"{len(missing)} ranks are"
    text = (
        f"{count} missing of {expected} ({shown}): figures that need the traces of peers "
        "(waiting against transfer, who was waited for) are not claimed for their communications"
    )
    return (Evidence("missing-ranks", len(missing), expected, tuple(missing), (), text),)


class JoinedEvents(NamedTuple):
    """All events with READY, warnings on what the matching rests on, and what it found amiss."""

    events: PartedEvents
    warnings: list[str]
    evidence: list[Evidence]


def join_events(aligned: AlignedClocks, peers: OperationPeers) -> JoinedEvents:
    """All events with READY, and what there is to say of the matching.

    Operations of ranks whose clocks cannot be compared are not split.
    """
    ranks = aligned.parts
    events = concat_tables(EVENTS, [one.communications for one in ranks])
    no_wait = np.concatenate([one.no_wait for one in ranks])
    counted = np.concatenate([one.counted for one in ranks])
    incomplete = np.concatenate([with_losses(one) for one in ranks])
    copies = events[READY].to_numpy() >= 0
    apart, origin = taken_apart(events)
    apart = without_numbers(apart, (counted & incomplete)[origin])
    matched = match_sound(apart, peers, counted[origin])
    matched = without_ranks(apart, matched, aligned.apart)
    matched, evidence = causal(apart, matched, counted[origin], aligned.tolerance)
    events = put_together(events, apart, origin, ready_of(apart, matched))
    events = until_received(events, apart, matched)
    warnings = []
    if (no_wait & ~copies).any():
        warnings.append(
            "DeepEP low-latency kernels only send, or only receive: the transfer between the two "
            "runs on no kernel, so what is hidden of it cannot be known from kernels"
        )
        events[READY] = np.where(no_wait, UNSPLIT, events[READY])
    alone = events[RANK].isin(aligned.apart).to_numpy(dtype=bool)
    events, said = _by_order(events, peers, no_wait | alone | incomplete)
    events[READY] = np.where(copies, events[START], events[READY])  # they wait for nobody
    return JoinedEvents(PartedEvents(ranks, events), warnings + said, evidence)


def _by_order(
    events: pd.DataFrame, peers: OperationPeers, no_wait: npt.NDArray[np.bool_]
) -> tuple[pd.DataFrame, list[str]]:
    """The events with READY of those that name no group, where their order tells it."""
    order = match_by_order(events, peers, no_wait)
    found = order.number >= 0
    if not found.any():
        return events, []
    group = np.where(found, order.group, events[GROUP].astype(object))
    number = np.where(found, order.number, events[SEQUENCE])
    ordered = events.assign(**{SEQUENCE: number})
    ordered[GROUP] = pd.Categorical(group)
    ready = match_groups(ordered, peers)
    ordered[READY] = np.where(found, ready, events[READY])
    everyone = set(order.group[found]) == {ALL_RANKS}
    where = "as operations over all ranks" if everyone else "in the groups that the traces list"
    return ordered, [
        f"{int(found.sum())} collectives name no process group: they are matched by their order, "
        f"{where}"
    ]
