"""Why a rank was idle: the claims of schedule, messages, collectives and launches, in order.

The strongest claim on an instant names the state of the bubble there:

0. no device of the job has begun with the step's work, or any goes on with it (host);
1. an input of the next slot had not been made yet, or its message waited (dependency); without
   slots: any receive waits;
2. a collective waits for a straggler (skew);
3. the work that ended the idle time was launched after the device became free (host);
4. another message waits that must have held the next computation up, or a send does (dependency);
5. with slots, and where launches are not in the trace: all inputs were there (host).

Before the first and after the last computation of a rank the state is warm-up or cooldown, but
for 0 and 3, which hold anywhere. What no claim covers is ``bubble.other``.
Communication that is unsplit never claims anything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpprof.analysis.accounting.host_time import HostTime
from dpprof.analysis.accounting.slot_dependencies import NO_NEEDS, Needs
from dpprof.analysis.events.causes import INPUT, LAUNCH, NO_CLAIMS, Claims, causes_of, make_claims
from dpprof.analysis.events.pipeline_messages import P2P
from dpprof.analysis.events.rank_activity import Activity
from dpprof.tables.intervals import Intervals, make_intervals, subtract, union
from dpprof.tables.kinds import BUBBLE_DEPENDENCY, BUBBLE_HOST, BUBBLE_STRAGGLER, KINDS


def claims_of(activity: Activity, needs: Needs | None, host: HostTime) -> list[Claims]:
    """All claims on the idle time of a rank in a step, the strongest first.

    In a simulated run (`host` is not present) no launch can be late.
    """
    slots = NO_NEEDS if needs is None else needs
    receives, others = _message_waits(activity, any_receive=not slots.known.any())
    claims = [host.edge_claims(activity), _needed(activity, slots), receives, _skew(activity)]
    if host.present:
        claims += [_late_launches(activity), others, _unlaunched(activity, slots)]
    else:
        claims.append(others)
    claims = [claim for claim in claims if len(claim.pieces.starts)]
    return [
        host.named(claim, activity.rank) if claim.state == BUBBLE_HOST else claim
        for claim in claims
    ]


def _needed(activity: Activity, slots: Needs) -> Claims:
    """Between two slots, until the last input of the second one was there."""
    gap_starts, gap_ends = _gaps(activity, slots)
    gap_ends = np.where(slots.known, np.minimum(gap_ends, slots.arrival_ns), gap_starts)
    spans = Intervals(gap_starts, gap_ends)
    causes = causes_of(INPUT, len(gap_starts), slots.producers, slots.producer_ranks)
    return make_claims(BUBBLE_DEPENDENCY, spans, causes)


def _gaps(activity: Activity, slots: Needs) -> Intervals:
    """For each slot the time before it that no earlier slot takes (may be empty)."""
    before = np.concatenate([[activity.start_ns], slots.ends])[:-1]
    starts = np.maximum.accumulate(before) if len(slots.ends) else slots.ends
    return Intervals(starts, slots.starts)


def _message_waits(activity: Activity, *, any_receive: bool) -> tuple[Claims, Claims]:
    """Waits that are strong reasons (a receive may be one), and waits that are weak ones."""
    rows = activity.rows
    waits = (rows.transfers_ns > rows.starts) & (rows.kinds == KINDS.index(P2P))
    if any_receive:
        return (
            _waiting(activity, waits & ~rows.sending, BUBBLE_DEPENDENCY),
            _waiting(activity, waits & rows.sending, BUBBLE_DEPENDENCY),
        )
    return NO_CLAIMS, _blocking(activity, np.flatnonzero(waits))


def _waiting(activity: Activity, chosen: npt.NDArray[np.bool_], state: str) -> Claims:
    rows = activity.rows
    spans = Intervals(rows.starts[chosen], rows.transfers_ns[chosen])
    return make_claims(state, spans, rows.causes[chosen])


def _blocking(activity: Activity, chosen: npt.NDArray[np.intp]) -> Claims:
    """Waits that must have held up the computation that came next.

    A message did so only if no computation was under way or began between its being ready and
    its end, and only since the last computation before it.
    """
    rows, compute = activity.rows, activity.computing
    finished = np.searchsorted(compute.ends, rows.transfers_ns[chosen], side="right")
    begun = np.searchsorted(compute.starts, rows.ends[chosen], side="left")
    held = begun == finished
    chosen, ready = chosen[held], rows.transfers_ns[chosen[held]]
    since = np.concatenate([[activity.start_ns], compute.ends])[finished[held]]
    spans = Intervals(np.maximum(rows.starts[chosen], since), ready)
    return make_claims(BUBBLE_DEPENDENCY, spans, rows.causes[chosen])


def _skew(activity: Activity) -> Claims:
    rows = activity.rows
    collective = rows.kinds != KINDS.index(P2P)
    return _waiting(activity, collective & (rows.transfers_ns > rows.starts), BUBBLE_STRAGGLER)


def _late_launches(activity: Activity) -> Claims:
    """Idle time until the launch of the work that ended it."""
    rows, free = activity.rows, _free(activity)
    if not len(rows.starts):
        return NO_CLAIMS
    following = np.searchsorted(rows.starts, free.ends, side="left")
    following = np.minimum(following, len(rows.starts) - 1)
    ended = rows.starts[following] == free.ends
    launches = rows.launches_ns[following[ended]]
    spans = Intervals(free.starts[ended], np.minimum(free.ends[ended], launches))
    names = rows.names[following[ended]]
    return make_claims(BUBBLE_HOST, spans, causes_of(LAUNCH, len(names), names), anywhere=True)


def _free(activity: Activity) -> Intervals:
    """When the device neither works nor waits."""
    window = make_intervals([activity.start_ns], [activity.end_ns])
    return subtract(window, union(activity.busy, *activity.waits.values()))


def _unlaunched(activity: Activity, slots: Needs) -> Claims:
    """Inside slots, and between them where the needs of the later one are known."""
    if (activity.rows.launches_ns >= 0).any():
        return NO_CLAIMS
    gaps = _gaps(activity, slots)
    known = make_intervals(gaps.starts[slots.known], gaps.ends[slots.known])
    spans = union(make_intervals(slots.starts, slots.ends), known)
    return make_claims(BUBBLE_HOST, spans, causes_of("", len(spans.starts)))
