"""Communication by kind: how much of it computing hides, and how much of it is waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.analysis.activity import Activity
from dpprof.analysis.figures import KindFigures, TimeFigures
from dpprof.tables.intervals import intersection_length, total_length, union
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS, EXPOSED_STATES, OVERLAP


@dataclass(frozen=True)
class Transfers:
    """Communication of one rank in one step; `by_kind` has the kinds that occur.

    `wait_ns` is the time in which at least one operation waited; None where any is unsplit.
    """

    rank: int
    step: int
    by_kind: dict[str, KindFigures]
    wait_ns: int | None


def measure_transfers(activity: Activity) -> Transfers:
    """The communication of an activity."""
    waits = total_length(union(*activity.waits.values()))
    return Transfers(
        rank=activity.rank,
        step=activity.step,
        by_kind={kind: _kind_figures(activity, kind) for kind in activity.transfers},
        wait_ns=None if activity.unsplit_kinds else waits,
    )


def _kind_figures(activity: Activity, kind: str) -> KindFigures:
    total = total_length(activity.transfers[kind])
    hidden = intersection_length(activity.transfers[kind], activity.compute)
    unsplit = kind in activity.unsplit_kinds
    return KindFigures(
        total_ns=total,
        hidden_ns=hidden,
        exposed_ns=total - hidden,
        wait_ns=None if unsplit else total_length(activity.waits[kind]),
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
        )
        for kind, figures in having.items()
        if figures
    }


def known_sum(values: Sequence[int | None]) -> int | None:
    """The sum; None where any value is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def time_figures(transfers: Sequence[Transfers], states_ns: dict[str, int]) -> TimeFigures:
    """All time figures of one rank, from its transfers and its states in the same steps.

    Computing while a transfer is under way is hidden communication, so hidden and exposed come
    from the states and cannot disagree with them.
    """
    window = sum(states_ns.values())
    hidden = states_ns[OVERLAP]
    exposed = sum(states_ns[state] for state in EXPOSED_STATES)
    bubble = sum(states_ns[state] for state in BUBBLE_STATES)
    return TimeFigures(
        window_ns=window,
        states_ns=states_ns,
        bubble_ns=bubble,
        bubble_share=share(bubble, window),
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=known_sum([one.wait_ns for one in transfers]),
        hidden_share=share(hidden, hidden + exposed),
        by_kind=add_kinds([one.by_kind for one in transfers]),
    )


def share(part: int, whole: int) -> float | None:
    """``part / whole``; None where there is no whole."""
    return part / whole if whole else None
