"""Communication by kind: how much of it computing hides, and how much of it is waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.analysis.events.event_columns import COMMUNICATION_CODES, Rows
from dpprof.analysis.events.rank_activity import Activity
from dpprof.analysis.model import IncludingWait, KindFigures, TimeFigures
from dpprof.tables.intervals import intersection_length, total_length, union
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

    `wait_ns` is the time in which at least one operation waited; None where any is unsplit.
    """

    rank: int
    step: int
    by_kind: dict[str, KindFigures]
    wait_ns: int | None
    including_wait: WholeCommunication


def measure_transfers(activity: Activity) -> Transfers:
    """The communication of an activity."""
    waits = total_length(union(*activity.waits.values()))
    in_parts = _in_parts(activity.rows)
    return Transfers(
        rank=activity.rank,
        step=activity.step,
        by_kind={
            kind: _kind_figures(activity, kind, IN_PARTS if kind in in_parts else None)
            for kind in activity.transfers
        },
        wait_ns=None if activity.unsplit_kinds else waits,
        including_wait=measure_including_wait([activity]),
    )


def _in_parts(rows: Rows) -> frozenset[str]:
    """Kinds with kernels that only send or only receive."""
    moving = np.isin(rows.kinds, COMMUNICATION_CODES)
    codes, names = pd.factorize(rows.names[moving])
    low_latency = np.array([in_parts(str(name)) for name in names], dtype=bool)
    chosen = low_latency[codes] if len(names) else np.zeros(0, dtype=bool)
    return frozenset(KINDS[code] for code in np.unique(rows.kinds[moving][chosen]))


def _kind_figures(activity: Activity, kind: str, hidden_reason: str | None) -> KindFigures:
    total = total_length(activity.transfers[kind])
    hidden = intersection_length(activity.transfers[kind], activity.compute)
    unsplit = kind in activity.unsplit_kinds
    return KindFigures(
        total_ns=total,
        hidden_ns=hidden,
        exposed_ns=total - hidden,
        wait_ns=None if unsplit else total_length(activity.waits[kind]),
        hidden_reason=hidden_reason,
    )


def add_kinds(many: Sequence[dict[str, KindFigures]]) -> dict[str, KindFigures]:
    """Figures per kind that occurs, added up; no wait where any part has none."""
    having = {kind: [one[kind] for one in many if kind in one] for kind in COMMUNICATION_KINDS}
    return {
        kind: KindFigures(
            total_ns=sum(one.total_ns for one in figures),
            hidden_ns=sum(one.hidden_ns for one in figures),
            exposed_ns=sum(one.exposed_ns for one in figures),
            wait_ns=known_sum([one.wait_ns for one in figures]),
            hidden_reason=next(filter(None, (one.hidden_reason for one in figures)), None),
        )
        for kind, figures in having.items()
        if figures
    }


def known_sum(values: Sequence[int | None]) -> int | None:
    """The sum; None where any value is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def time_figures(
    transfers: Sequence[Transfers], states_ns: dict[str, int], including_wait: WholeCommunication
) -> TimeFigures:
    """All time figures of one rank, from its transfers and its states in the same steps.

    Computing while a transfer is under way is hidden communication, so hidden and exposed come
    from the states and cannot disagree with them.
    """
    window = sum(states_ns.values())
    hidden = states_ns[OVERLAP]
    exposed = sum(states_ns[state] for state in EXPOSED_STATES)
    bubble = sum(states_ns[state] for state in BUBBLE_STATES)
    by_kind = add_kinds([one.by_kind for one in transfers])
    reason = hidden_reason(hidden + exposed, by_kind, states_ns[FUSED])
    return TimeFigures(
        window_ns=window,
        states_ns=states_ns,
        bubble_ns=bubble,
        bubble_share=share(bubble, window),
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=known_sum([one.wait_ns for one in transfers]),
        hidden_share=None if reason else share(hidden, hidden + exposed),
        hidden_reason=reason,
        including_wait=_including_wait(including_wait, reason),
        by_kind=by_kind,
    )


def _including_wait(whole: WholeCommunication, reason: str | None) -> IncludingWait:
    return IncludingWait(
        communication_ns=whole.communication_ns,
        hidden_ns=whole.hidden_ns,
        exposed_ns=whole.communication_ns - whole.hidden_ns,
        hidden_share=None if reason else share(whole.hidden_ns, whole.communication_ns),
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


def total_figures(ranks: Sequence[TimeFigures]) -> TimeFigures:
    """Everything added up over ranks; shares from the sums."""
    states = {state: sum(one.states_ns[state] for one in ranks) for state in STATES}
    window, bubble = sum(states.values()), sum(one.bubble_ns for one in ranks)
    hidden, exposed = sum(one.hidden_ns for one in ranks), sum(one.exposed_ns for one in ranks)
    by_kind = add_kinds([one.by_kind for one in ranks])
    whole = WholeCommunication(
        sum(one.including_wait.communication_ns for one in ranks),
        sum(one.including_wait.hidden_ns for one in ranks),
    )
    reason = hidden_reason(hidden + exposed, by_kind, states[FUSED])
    return TimeFigures(
        window_ns=window,
        states_ns=states,
        bubble_ns=bubble,
        bubble_share=share(bubble, window),
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=known_sum([one.wait_ns for one in ranks]),
        hidden_share=None if reason else share(hidden, hidden + exposed),
        hidden_reason=reason,
        including_wait=_including_wait(whole, reason),
        by_kind=by_kind,
    )
