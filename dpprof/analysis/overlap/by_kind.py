"""Communication by kind: how much of it computing hides, and how much of it is waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.analysis.events.event_columns import COMMUNICATION_CODES, EventColumns
from dpprof.analysis.events.rank_activity import Activity
from dpprof.analysis.figures import IncludingWait, KindFigures, TimeFigures
from dpprof.tables.intervals import EMPTY, intersection_length, total_length, union
from dpprof.tables.kinds import (
    BUBBLE_STATES,
    COMMUNICATION_KINDS,
    EXPOSED_STATES,
    FUSED,
    KINDS,
    OVERLAP,
    STATES,
)
from dpprof.trace.activities.kernel_table import in_parts


class WholeCommunication(NamedTuple):
    """Whole communications with what they waited, and the part of that under computing."""

    communication_ns: int
    hidden_ns: int


def measure_including_wait(activities: Sequence[Activity]) -> WholeCommunication:
    """Communication with waiting of one rank over all these steps at once, as they may overlap."""
    whole = union(*(one.communication for one in activities))
    computing = union(*(one.compute for one in activities))
    return WholeCommunication(total_length(whole), intersection_length(whole, computing))


@dataclass(frozen=True)
class Transfers:
    """Communication of one rank in one step; `by_kind` has the kinds that occur.

    `wait_ns` is the time in which at least one operation waited, of those that were split (None:
    none was), `unsplit_ns` the time of the others. Not `idle_known`: a message that was posted and
    waited for later was not matched, so that it may have been under way, or not, while idle.
    """

    rank: int
    step: int
    by_kind: dict[str, KindFigures]
    wait_ns: int | None
    unsplit_ns: int
    idle_known: bool
    including_wait: WholeCommunication
    blocking_ns: int | None = None


def measure_transfers(activity: Activity) -> Transfers:
    """The communication of an activity."""
    waits = total_length(union(*activity.waits.values()))
    reasons = _hidden_reasons(activity.rows)
    return Transfers(
        rank=activity.rank,
        step=activity.step,
        by_kind={
            kind: _kind_figures(activity, kind, reasons.get(kind)) for kind in activity.transfers
        },
        wait_ns=None if activity.unsplit and not activity.split_kinds else waits,
        unsplit_ns=total_length(union(*activity.unsplit.values())),
        idle_known=not (activity.rows.unsplit & activity.rows.posted).any(),
        including_wait=measure_including_wait([activity]),
        blocking_ns=(
            total_length(union(*activity.blocking.values())) if activity.knows_waits else None
        ),
    )


def _hidden_reasons(rows: EventColumns) -> dict[str, str]:
    """Why no share of a kind's transfers is claimed to be hidden, by kind."""
    posted = {KINDS[code]: POSTED for code in np.unique(rows.kinds[rows.posted])}
    return posted | dict.fromkeys(_in_parts(rows), IN_PARTS)


def _in_parts(rows: EventColumns) -> frozenset[str]:
    """Kinds with kernels that only send or only receive."""
    moving = np.isin(rows.kinds, COMMUNICATION_CODES)
    codes, names = pd.factorize(rows.names[moving])
    low_latency = np.array([in_parts(str(name)) for name in names], dtype=bool)
    chosen = low_latency[codes] if len(names) else np.zeros(0, dtype=bool)
    return frozenset(KINDS[code] for code in np.unique(rows.kinds[moving][chosen]))


def _kind_figures(activity: Activity, kind: str, hidden_reason: str | None) -> KindFigures:
    total = total_length(activity.transfers[kind])
    hidden = intersection_length(activity.transfers[kind], activity.compute)
    unsplit = activity.unsplit.get(kind, EMPTY)
    nothing = kind in activity.unsplit and kind not in activity.split_kinds
    return KindFigures(
        total_ns=total,
        hidden_ns=hidden,
        exposed_ns=total - hidden,
        wait_ns=None if nothing else total_length(activity.waits[kind]),
        unsplit_ns=total_length(unsplit),
        hidden_reason=hidden_reason,
        blocking_ns=total_length(activity.blocking[kind]) if activity.knows_waits else None,
    )


def add_kinds(many: Sequence[dict[str, KindFigures]]) -> dict[str, KindFigures]:
    """Figures per kind that occurs, added up; no wait where no part has one."""
    having = {kind: [one[kind] for one in many if kind in one] for kind in COMMUNICATION_KINDS}
    return {
        kind: KindFigures(
            total_ns=sum(one.total_ns for one in figures),
            hidden_ns=sum(one.hidden_ns for one in figures),
            exposed_ns=sum(one.exposed_ns for one in figures),
            wait_ns=known_sum(figures),
            unsplit_ns=sum(one.unsplit_ns for one in figures),
            hidden_reason=next(filter(None, (one.hidden_reason for one in figures)), None),
            blocking_ns=blocking_sum(figures),
        )
        for kind, figures in having.items()
        if figures
    }


def blocking_sum(parts: Sequence[KindFigures | Transfers | TimeFigures]) -> int | None:
    """The time that these parts block; None where that is not known of one that communicates."""
    known = [one.blocking_ns for one in parts if one.blocking_ns is not None]
    unknown = [one for one in parts if one.blocking_ns is None and _communicates(one)]
    return sum(known) if known and not unknown else None


def known_sum(parts: Sequence[KindFigures | Transfers | TimeFigures]) -> int | None:
    """The waiting of what was split in these parts; None where nothing was that could have been."""
    known = [one.wait_ns for one in parts if one.wait_ns is not None]
    if len(known) == len(parts):
        return sum(known)
    split = [one for one in parts if one.wait_ns is not None and _communicates(one)]
    return sum(known) if split else None


def _communicates(one: KindFigures | Transfers | TimeFigures) -> bool:
    if isinstance(one, KindFigures):
        return bool(one.total_ns or one.wait_ns)
    return bool(one.including_wait.communication_ns)


def time_figures(
    transfers: Sequence[Transfers], states_ns: dict[str, int], including_wait: WholeCommunication
) -> TimeFigures:
    """All time figures of one rank, from its transfers and its states in the same steps.

    Computing while a transfer is under way is hidden communication, so hidden and exposed come
    from the states and cannot disagree with them.
    """
    idle_known = all(one.idle_known for one in transfers)
    return _figures(transfers, states_ns, including_wait, idle_known)


def total_figures(ranks: Sequence[TimeFigures]) -> TimeFigures:
    """Everything added up over ranks; shares from the sums."""
    states = {state: sum(one.states_ns[state] for one in ranks) for state in STATES}
    whole = WholeCommunication(
        sum(one.including_wait.communication_ns for one in ranks),
        sum(one.including_wait.hidden_ns for one in ranks),
    )
    idle_known = not any(one.bubble_share is None and one.window_ns for one in ranks)
    return _figures(ranks, states, whole, idle_known)


def _figures(
    parts: Sequence[Transfers] | Sequence[TimeFigures],
    states_ns: dict[str, int],
    whole: WholeCommunication,
    idle_known: bool,
) -> TimeFigures:
    window = sum(states_ns.values())
    hidden = states_ns[OVERLAP]
    exposed = sum(states_ns[state] for state in EXPOSED_STATES)
    bubble = sum(states_ns[state] for state in BUBBLE_STATES)
    by_kind = add_kinds([one.by_kind for one in parts])
    reason = hidden_reason(hidden + exposed, by_kind, states_ns[FUSED])
    return TimeFigures(
        window_ns=window,
        states_ns=states_ns,
        bubble_ns=bubble,
        bubble_share=share(bubble, window) if idle_known else None,
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=known_sum(parts),
        unsplit_ns=sum(one.unsplit_ns for one in parts),
        hidden_share=None if reason else share(hidden, hidden + exposed),
        hidden_reason=reason,
        including_wait=_including_wait(whole, reason),
        blocking_ns=blocking_sum(parts),
        by_kind=by_kind,
    )


def _including_wait(whole: WholeCommunication, reason: str | None) -> IncludingWait:
    return IncludingWait(
        communication_ns=whole.communication_ns,
        hidden_ns=whole.hidden_ns,
        exposed_ns=whole.communication_ns - whole.hidden_ns,
        hidden_share=None if reason else share(whole.hidden_ns, whole.communication_ns),
    )


POSTED = (
    "posted and waited for later: when in between they were under way is not in the trace, so "
    "nothing of them is called hidden"
)
IN_PARTS = "split into send and receive parts; kernel overlap sees none of it"


IN_ONE = "communication and computing in one kernel; what it hides cannot be told"


def hidden_reason(
    communication_ns: int, by_kind: dict[str, KindFigures], fused_ns: int = 0
) -> str | None:
    """Why no share of the communication is claimed to be hidden; None where one is."""
    if not communication_ns and not fused_ns:
        return "no communication"
    reasons: dict[str, list[str]] = {IN_ONE: [FUSED]} if fused_ns else {}
    for kind, figures in by_kind.items():
        if figures.hidden_reason:
            reasons.setdefault(figures.hidden_reason, []).append(kind)
    texts = [f"{', '.join(kinds)}: {reason}" for reason, kinds in reasons.items()]
    return "; ".join(texts) or None


def share(part: int, whole: int) -> float | None:
    """``part / whole``; None where there is no whole."""
    return part / whole if whole else None
