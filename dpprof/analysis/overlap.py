"""Communication by kind: how much of it computing hides, and how much of it is waiting."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.analysis.activity import Activity
from dpprof.analysis.figures import KindFigures, TimeFigures
from dpprof.tables.intervals import intersection_length, total_length, union
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS, EXPOSED_STATES, OVERLAP


def communication_by_kind(activities: Sequence[Activity]) -> dict[str, KindFigures]:
    """Figures per communication kind that occurs, added up over activities (ranks and steps)."""
    present = {kind for one in activities for kind in one.transfers}
    return {
        kind: _kind_figures(activities, kind) for kind in COMMUNICATION_KINDS if kind in present
    }


def _kind_figures(activities: Sequence[Activity], kind: str) -> KindFigures:
    having = [one for one in activities if kind in one.transfers]
    total = sum(total_length(one.transfers[kind]) for one in having)
    hidden = sum(intersection_length(one.transfers[kind], one.compute) for one in having)
    unsplit = any(kind in one.unsplit_kinds for one in having)
    waits = sum(total_length(one.waits[kind]) for one in having)
    return KindFigures(
        total_ns=total,
        hidden_ns=hidden,
        exposed_ns=total - hidden,
        wait_ns=None if unsplit else waits,
    )


def wait_ns(activities: Sequence[Activity]) -> int | None:
    """Time in which at least one operation waited; None where any of them is unsplit."""
    if any(one.unsplit_kinds for one in activities):
        return None
    return sum(total_length(union(*one.waits.values())) for one in activities)


def time_figures(activities: Sequence[Activity], states_ns: dict[str, int]) -> TimeFigures:
    """All time figures of one rank, from its activities and its states in the same steps.

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
        wait_ns=wait_ns(activities),
        hidden_share=share(hidden, hidden + exposed),
        by_kind=communication_by_kind(activities),
    )


def share(part: int, whole: int) -> float | None:
    """``part / whole``; None where there is no whole."""
    return part / whole if whole else None
