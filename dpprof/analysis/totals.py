"""Time figures added up over ranks."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.analysis.figures import KindFigures, TimeFigures
from dpprof.analysis.overlap import share
from dpprof.tables.kinds import COMMUNICATION_KINDS, STATES


def total_figures(ranks: Sequence[TimeFigures]) -> TimeFigures:
    """Everything added up over ranks; shares from the sums."""
    states = {state: sum(one.states_ns[state] for one in ranks) for state in STATES}
    window, bubble = sum(states.values()), sum(one.bubble_ns for one in ranks)
    hidden, exposed = sum(one.hidden_ns for one in ranks), sum(one.exposed_ns for one in ranks)
    return TimeFigures(
        window_ns=window,
        states_ns=states,
        bubble_ns=bubble,
        bubble_share=share(bubble, window),
        communication_ns=hidden + exposed,
        hidden_ns=hidden,
        exposed_ns=exposed,
        wait_ns=_known_sum([one.wait_ns for one in ranks]),
        hidden_share=share(hidden, hidden + exposed),
        by_kind=_total_by_kind([one.by_kind for one in ranks]),
    )


def _total_by_kind(ranks: Sequence[dict[str, KindFigures]]) -> dict[str, KindFigures]:
    having = {kind: [one[kind] for one in ranks if kind in one] for kind in COMMUNICATION_KINDS}
    return {
        kind: KindFigures(
            total_ns=sum(one.total_ns for one in figures),
            hidden_ns=sum(one.hidden_ns for one in figures),
            exposed_ns=sum(one.exposed_ns for one in figures),
            wait_ns=_known_sum([one.wait_ns for one in figures]),
        )
        for kind, figures in having.items()
        if figures
    }


def _known_sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
